import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import type { PerturbationStep } from '../../src/perturb/draw.js'
import {
  applied,
  count,
  displaced,
  elasticNoise,
  gaussian,
  largestDifference,
  someScan,
  someStream,
} from './reference.js'

type Elastic = Extract<PerturbationStep, { kind: 'elastic' }>

const published = (seed: number): Elastic => ({
  kind: 'elastic',
  sigma: [8, 8, 8],
  alpha: [991, 991],
  noise: someStream(seed),
})

// Extents that fill no vector register, that are smaller than the kernel, and one voxel thick, among the usual ones.
const cases: [Extents, Partial<Elastic>][] = [
  [[64, 64, 32], {}],
  [[32, 32, 24], {}],
  [[35, 50, 36], {}],
  [[17, 9, 5], {}],
  [[40, 30, 1], { sigma: [4, 4, 0] }],
  [[21, 20, 19], { sigma: [2.5, 1, 0.7], alpha: [20, -35] }],
  [[6, 7, 35], { sigma: [0, 3, 40], alpha: [400, 300] }],
]

/**
 * Float32 sums of at most 65 products, times alpha, leave displacements wrong by about 1e-5 voxels; the largest step
 * between neighbours in these scans is 0.3, the alphas are up to 991.
 */
const tolerance = 2e-5

describe('elastic deformation', () => {
  it.each(cases)('agrees with float64 on %s voxels %o', async (shape, options) => {
    const scan = someScan(shape)
    const step = { ...published(5), ...options }
    const { original, perturbed } = await applied(scan, [step])
    const [dx, dy] = elasticNoise(step.noise, count(shape)).map((noise) => gaussian(noise, shape, step.sigma))
    const expected = displaced(original, shape, dx!, dy!, step.alpha)
    expect(largestDifference(perturbed, original)).toBeGreaterThan(0.01)
    expect(largestDifference(perturbed, expected)).toBeLessThan(tolerance)
  })

  it('smooths the noise as float64 does: read off a ramp, whose values are the displacements', async () => {
    const shape: Extents = [64, 64, 32]
    const voxels = new Uint16Array(count(shape))
    for (let i = 0; i < voxels.length; i++) voxels[i] = 1000 * Math.floor(i / (64 * 32))
    const step = { ...published(6), alpha: [991, 0] as const }
    const { perturbed } = await applied({ voxels, shape }, [step])
    const field = gaussian(elasticNoise(step.noise, count(shape))[0], shape, step.sigma)
    let [inside, largest, squares] = [0, 0, 0]
    for (let i = 0; i < voxels.length; i++) {
      const x = Math.floor(i / (64 * 32))
      const displacement = 991 * field[i]!
      if (x + displacement < 0 || x + displacement > 63) continue
      inside++
      squares += displacement ** 2
      largest = Math.max(largest, Math.abs((perturbed[i]! * 65535) / 1000 - x - displacement))
    }
    console.log(
      `smoothed noise: off by at most ${largest.toExponential(1)} voxels, RMS ${Math.sqrt(squares / inside).toFixed(2)} voxels`,
    )
    expect(inside).toBeGreaterThan(voxels.length * 0.8)
    expect(largest).toBeLessThan(1e-4)
  })

  it('moves nothing when alpha is 0', async () => {
    const { original, perturbed } = await applied(someScan([20, 20, 20]), [{ ...published(7), alpha: [0, 0] }])
    expect(perturbed).toEqual(original)
  })

  it('keeps values between those of the cube', async () => {
    const scan = someScan([30, 30, 30])
    scan.voxels.forEach((value, i) => {
      scan.voxels[i] = value > 32768 ? 65535 : 0
    })
    const { perturbed } = await applied(scan, [published(8)])
    expect(perturbed.every((value) => value >= 0 && value <= 1)).toBe(true)
  })
})

const scipy = spawnSync('python3', ['-c', 'import numpy, scipy.ndimage'])
if (scipy.status !== 0) console.warn('skipped: elastic deformation against SciPy, which python3 does not have here')

describe.skipIf(scipy.status !== 0)('elastic deformation against SciPy', () => {
  const program = `
import sys, json, numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
head = json.loads(sys.stdin.buffer.readline())
shape, sigma, alpha = head['shape'], head['sigma'], head['alpha']
image, dx, dy = np.frombuffer(sys.stdin.buffer.read(), np.float64).reshape([3] + shape)
dx, dy = (gaussian_filter(d, sigma, mode='constant', cval=0, truncate=4) for d in (dx, dy))
x, y, z = np.meshgrid(*[np.arange(n) for n in shape], indexing='ij')
out = map_coordinates(image, [x + alpha[0] * dx, y + alpha[1] * dy, z], order=1, mode='reflect')
sys.stdout.buffer.write(out.astype(np.float64).tobytes())
`
  it.each(cases)('agrees on %s voxels %o', async (shape, options) => {
    const step = { ...published(9), ...options }
    const { original, perturbed } = await applied(someScan(shape, 2), [step])
    const arrays = [Float64Array.from(original), ...elasticNoise(step.noise, count(shape))]
    const input = Buffer.concat([
      Buffer.from(`${JSON.stringify({ shape, sigma: step.sigma, alpha: step.alpha })}\n`),
      ...arrays.map((array) => Buffer.from(array.buffer)),
    ])
    const python = spawnSync('python3', ['-c', program], { input, maxBuffer: 2 ** 28 })
    expect(python.stderr.toString()).toBe('')
    const expected = new Float64Array(new Uint8Array(python.stdout).buffer)
    expect(largestDifference(perturbed, expected)).toBeLessThan(tolerance)
  })
})
