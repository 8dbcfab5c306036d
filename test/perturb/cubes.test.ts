import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import { type CubeRequest, fillCubes, resizeScan } from '../../src/perturb/cubes.js'
import { drawPerturbation, type Perturbation } from '../../src/perturb/draw.js'
import { namedRecipes } from '../../src/perturb/recipe.js'
import { Random } from '../../src/random.js'
import { count, largestDifference, resampled, someScan } from './reference.js'

/** Weights and values in float32, at most a few hundred products a voxel. */
const tolerance = 2e-6

const scan = someScan([40, 36, 20])

async function cube(request: CubeRequest, shape: Extents): Promise<Float32Array> {
  const original = new Float32Array(count(shape))
  await fillCubes([request], shape, original)
  return original
}

describe('crops', () => {
  it('of the cube size are the voxels themselves', async () => {
    const crop = await cube({ scan, start: [5, 7, 3], size: [16, 12, 9] }, [16, 12, 9])
    for (let x = 0, i = 0; x < 16; x++)
      for (let y = 0; y < 12; y++)
        for (let z = 0; z < 9; z++, i++)
          expect(crop[i]).toBe(Math.fround(scan.voxels[((x + 5) * 36 + y + 7) * 20 + z + 3]! / 65535))
  })

  it.each<[Extents, Extents, Extents]>([
    [
      [-3, -5, -2],
      [16, 12, 9],
      [16, 12, 9],
    ],
    [
      [35, 30, 15],
      [16, 12, 9],
      [16, 12, 9],
    ],
    [
      [-100, 10, 5],
      [8, 8, 8],
      [8, 8, 8],
    ],
    [
      [10, 500, -500],
      [8, 8, 8],
      [8, 8, 8],
    ],
    [
      [-7, -7, -7],
      [60, 50, 40],
      [60, 50, 40],
    ],
    [
      [-4, 20, 12],
      [20, 22, 11],
      [16, 16, 8],
    ],
    [
      [2, 3, 4],
      [11, 13, 5],
      [16, 16, 16],
    ],
    [
      [0, 0, 0],
      [40, 36, 20],
      [7, 5, 3],
    ],
    [
      [3, 0, 2],
      [1, 1, 1],
      [4, 5, 6],
    ],
    [
      [3, -2, 2],
      [37, 30, 4],
      [1, 1, 1],
    ],
    [
      [1, 2, 3],
      [20, 12, 20],
      [20, 31, 9],
    ],
  ])('at %s of %s voxels to %s agree with float64', async (start, size, shape) => {
    const crop = await cube({ scan, start, size }, shape)
    expect(largestDifference(crop, resampled(scan, start, size, shape))).toBeLessThan(tolerance)
  })
})

describe('a batch', () => {
  const shape: Extents = [24, 20, 12]
  const recipes = [namedRecipes.official, namedRecipes['models-genesis']]
  const requests = Array.from({ length: 17 }, (_, i): CubeRequest => {
    const random = new Random(4, 'batch', i)
    return {
      scan: i % 2 ? scan : someScan([30, 30, 30], 3),
      start: [random.integer(-10, 35), random.integer(-10, 30), random.integer(-5, 15)],
      size: i % 3 ? shape : [random.integer(10, 40), random.integer(10, 40), 12],
      ...(i % 5 ? { perturbation: drawPerturbation(recipes[i % 2]!, random, shape) } : {}),
    }
  })
  const filled = async (threads: number, batch = requests) => {
    const original = new Float32Array(batch.length * count(shape))
    const perturbed = new Float32Array(batch.length * count(shape))
    await fillCubes(batch, shape, original, perturbed, { threads })
    return { original, perturbed }
  }

  it('gives the same bits with any number of threads, and one by one', async () => {
    const one = await filled(1)
    expect(await filled(2)).toEqual(one)
    expect(await filled(64)).toEqual(one)
    for (const [i, request] of requests.entries()) {
      const alone = await filled(1, [request])
      const range = [i * count(shape), (i + 1) * count(shape)] as const
      expect(alone.original).toEqual(one.original.subarray(...range))
      expect(alone.perturbed).toEqual(one.perturbed.subarray(...range))
    }
  })

  it('stays in [0, 1], leaves cubes without a perturbation alone, and changes the others', async () => {
    const { original, perturbed } = await filled(2)
    for (const values of [original, perturbed]) expect(values.every((value) => value >= 0 && value <= 1)).toBe(true)
    for (const [i, request] of requests.entries()) {
      const range = [i * count(shape), (i + 1) * count(shape)] as const
      const same = largestDifference(original.subarray(...range), perturbed.subarray(...range)) === 0
      expect(same).toBe(!request.perturbation)
    }
  })

  it('takes longer arrays and writes only its own part', async () => {
    const original = new Float32Array(count(shape) + 5).fill(7)
    await fillCubes([requests[0]!], shape, original)
    expect([...original.subarray(count(shape))]).toEqual([7, 7, 7, 7, 7])
    expect(original.subarray(0, count(shape)).every((value) => value <= 1)).toBe(true)
    await fillCubes([], shape, new Float32Array(0))
  })
})

describe('whole scans', () => {
  it.each<[Extents, Extents]>([
    [
      [40, 36, 20],
      [16, 16, 8],
    ],
    [
      [40, 36, 20],
      [13, 50, 20],
    ],
    [
      [9, 9, 9],
      [20, 21, 22],
    ],
    [
      [5, 1, 300],
      [4, 4, 4],
    ],
  ])('of %s voxels to %s agree with float64 and do not depend on threads', async (from, shape) => {
    const source = someScan(from, 6)
    const resized = await resizeScan(source, shape, { threads: 1 })
    expect(largestDifference(resized, resampled(source, [0, 0, 0], from, shape))).toBeLessThan(tolerance)
    expect(await resizeScan(source, shape, { threads: 2 })).toEqual(resized)
    expect(await resizeScan(source, shape, { threads: 7 })).toEqual(resized)
  })

  it('average where they shrink: a checkerboard becomes grey', async () => {
    const voxels = Uint16Array.from({ length: 64 ** 3 }, (_, i) => ((i ^ (i >> 6) ^ (i >> 12)) & 1) * 65535)
    const small = await resizeScan({ voxels, shape: [64, 64, 64] }, [16, 16, 16])
    // The triangle meets as many black as white voxels, but for the border, where a part of it is left out.
    expect(small.every((value) => Math.abs(value - 0.5) < 0.02)).toBe(true)
  })

  it('keep a constant, and the full range', async () => {
    const voxels = new Uint16Array(30 * 20 * 10).fill(65535)
    for (const value of await resizeScan({ voxels, shape: [30, 20, 10] }, [7, 33, 4])) expect(value).toBeCloseTo(1, 6)
  })
})

describe('what cannot be used is refused in a sentence', () => {
  const shape: Extents = [8, 8, 8]
  const good: CubeRequest = { scan, start: [0, 0, 0], size: shape }
  const stream = { key: [1, 2], counter: [3, 4, 5] } as const
  const step = (values: object) => ({ ...good, perturbation: { shape, flips: [false, false, false], steps: [values] } })
  const elastic = { kind: 'elastic', sigma: [8, 8, 8], alpha: [1, 1], noise: stream }

  it.each<[string, unknown, RegExp]>([
    ['a fractional start', { ...good, start: [0.5, 0, 0] }, /start must be a whole number/],
    ['an empty crop', { ...good, size: [0, 8, 8] }, /1 to 32768 voxels a side/],
    ['a huge crop', { ...good, size: [1e6, 8, 8] }, /1 to 32768 voxels a side/],
    ['a far crop', { ...good, start: [2 ** 40, 0, 0] }, /within 2\^30 voxels/],
    [
      'a scan of another size',
      { ...good, scan: { voxels: scan.voxels, shape: [40, 36, 21] } },
      /40 x 36 x 21 voxels came with 28800/,
    ],
    ['a scan of floats', { ...good, scan: { voxels: new Float32Array(8), shape: [2, 2, 2] } }, /Uint16Array/],
    [
      'a draw for another cube',
      { ...good, perturbation: { shape: [9, 8, 8], flips: [], steps: [] } },
      /drawn for 9 x 8 x 8/,
    ],
    ['an unknown step', step({ kind: 'twist' }), /no step named "twist"/],
    ['a NaN', step({ ...elastic, alpha: [Number.NaN, 1] }), /alpha must be a finite number/],
    ['a huge sigma', step({ ...elastic, sigma: [1e9, 8, 8] }), /sigma must be from 0 to 1024/],
    ['a negative sigma', step({ ...elastic, sigma: [-1, 8, 8] }), /sigma must be from 0 to 1024/],
    ['a wrong stream', step({ ...elastic, noise: { key: [1, 2 ** 32], counter: [0, 0, 0] } }), /32-bit words/],
    [
      'a block outside',
      step({ kind: 'inpainting', blocks: [{ start: [5, 0, 0], size: [4, 1, 1] }], noise: stream }),
      /does not lie within/,
    ],
    [
      'a negative block',
      step({ kind: 'outpainting', blocks: [{ start: [-1, 0, 0], size: [4, 1, 1] }], noise: stream }),
      /does not lie within/,
    ],
    ['too large a shuffle', step({ kind: 'shuffling', blocks: 1, largest: [9, 1, 1], draws: stream }), /does not fit/],
    [
      'a negative shuffle',
      step({ kind: 'shuffling', blocks: -1, largest: [1, 1, 1], draws: stream }),
      /from 0 to 10000000/,
    ],
    ['a curve outside', step({ kind: 'nonlinear', x: [0, 2], y: [0, 1], inverted: false }), /\[0, 1\]/],
    ['five turns', step({ kind: 'rotation', quarterTurns: 5 }), /from 0 to 3/],
    ['a step that is null', step(null as never), /must be an object/],
  ])('%s', async (_, request, message) => {
    const original = new Float32Array(2 * 512).fill(7)
    const failure = fillCubes([good, request as CubeRequest], shape, original, new Float32Array(2 * 512))
    await expect(failure).rejects.toThrow(message)
    await expect(failure).rejects.toMatchObject({ name: 'SemgenError', code: 'BAD_OPTION' })
    expect(original.every((value) => value === 7)).toBe(true)
  })

  it('arrays that are too short, shapes without voxels or with too many, threads', async () => {
    const fill = (...call: Parameters<typeof fillCubes>) => expect(fillCubes(...call)).rejects
    await fill([good], shape, new Float32Array(511)).toThrow(
      /need 512 values, but the array for the original ones has 511/,
    )
    await fill([good], shape, new Float32Array(512), new Float32Array(1)).toThrow(/perturbed/)
    await fill([], [0, 8, 8], new Float32Array(0)).toThrow(/1 to 32768 voxels a side/)
    await fill([], [2 ** 30, 2 ** 30, 2 ** 30], new Float32Array(0)).toThrow(/1 to 32768 voxels a side/)
    await fill([], [32768, 32768, 2], new Float32Array(0)).toThrow(/at most 2\^30/)
    await fill([good], shape, new Float32Array(512), undefined, { threads: 0 }).toThrow(/threads must be from 1/)
    await expect(resizeScan(scan, [1e9, 1, 1])).rejects.toThrow(/1 to 32768 voxels a side/)
    const turned: Perturbation = {
      shape: [8, 4, 4],
      flips: [false, false, false],
      steps: [{ kind: 'rotation', quarterTurns: 1 }],
    }
    await fill([{ ...good, size: [8, 4, 4], perturbation: turned }], [8, 4, 4], new Float32Array(128)).toThrow(
      /as wide in x as in y/,
    )
  })
})
