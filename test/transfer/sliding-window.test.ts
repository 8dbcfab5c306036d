import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'
import { type Predictor, slideWindows, windowCount } from '../../src/transfer/sliding-window.js'

const outputs = 2
const scanOf = (shape: Extents) => {
  const random = new Random(3, 'test/windows')
  return {
    shape,
    voxels: Uint16Array.from({ length: shape[0] * shape[1] * shape[2] }, () => random.integer(0, 65536)),
  }
}

/** A "network" that answers each voxel of each window on its own: `answer(value, voxel of the window, output)`. */
function predictor(answer: (value: number, voxel: number, output: number) => number, voxels: number): Predictor {
  let given = new Float32Array()
  return {
    input: {
      write(values) {
        given = values.slice()
      },
    },
    async run(into) {
      for (let i = 0; i < given.length; i++)
        for (let o = 0; o < outputs; o++) into[i * outputs + o] = answer(given[i]!, i % voxels, o)
      return into
    },
  }
}

async function predicted(shape: Extents, patch: Extents, networks: Predictor[], more: object = {}) {
  const planes: Float32Array[] = []
  const options = { patch, batch: 3, overlap: 0.5, mirror: 'none' as const, outputs, threads: 2, ...more }
  await slideWindows([scanOf(shape)], networks, options, (x, plane) => {
    expect(x).toBe(planes.length)
    planes.push(plane.slice())
  })
  expect(planes).toHaveLength(shape[0])
  return planes.flatMap((plane) => [...plane])
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

describe('slideWindows', () => {
  const byValue = (value: number, _: number, o: number) => (o === 0 ? 8 * value - 4 : 1 - value)
  it.each<[string, Extents, Extents, object]>([
    ['much larger than a window', [19, 13, 11], [6, 5, 4], {}],
    ['in long runs', [19, 6, 4], [6, 5, 4], { batch: 16 }],
    ['smaller than a window', [5, 7, 3], [8, 8, 8], {}],
    ['mirrored', [9, 7, 6], [4, 4, 4], { mirror: 'all', batch: 5 }],
    ['mirrored left and right', [9, 7, 6], [4, 4, 4], { mirror: 'sides' }],
    ['without overlap', [12, 8, 8], [4, 4, 4], { overlap: 0, batch: 1 }],
  ])('gives each voxel its own answer, whatever the windows: %s', async (_, shape, patch, more) => {
    const got = await predicted(shape, patch, [predictor(byValue, patch[0] * patch[1] * patch[2])], more)
    const { voxels } = scanOf(shape)
    voxels.forEach((voxel, i) => {
      // A weighted mean of equal numbers, in float32.
      expect(Math.abs(got[2 * i]! - sigmoid(byValue(voxel / 65535, 0, 0)))).toBeLessThan(1e-5)
      expect(Math.abs(got[2 * i + 1]! - sigmoid(byValue(voxel / 65535, 0, 1)))).toBeLessThan(1e-5)
    })
  })

  it.each([
    ['sides', (x: number, y: number, z: number) => [x, y, z, 3 - x, y, z]],
    [
      'all',
      (...at: number[]) =>
        Array.from({ length: 8 }, (_, i) => at.map((k, axis) => ((i >> axis) & 1 ? 3 - k : k))).flat(),
    ],
  ] as const)('averages what a window of 4 x 4 x 4 answers as it lies and mirrored: %s', async (mirror, places) => {
    const byPlace = (_: number, voxel: number, o: number) => Math.sin(voxel + o)
    const got = await predicted([4, 4, 4], [4, 4, 4], [predictor(byPlace, 64)], { mirror })
    for (let voxel = 0; voxel < 64; voxel++) {
      const at = places(voxel >> 4, (voxel >> 2) & 3, voxel & 3)
      for (const o of [0, 1]) {
        let mean = 0
        for (let i = 0; i < at.length; i += 3) mean += sigmoid(byPlace(0, at[i]! * 16 + at[i + 1]! * 4 + at[i + 2]!, o))
        // Up to eight sigmoids, summed in float32.
        expect(Math.abs(got[2 * voxel + o]! - mean / (at.length / 3))).toBeLessThan(1e-6)
      }
    }
  })

  it('averages networks, and overlapping windows by a Gaussian about their middles', async () => {
    const shape = [5, 4, 7] as const
    const patch = [4, 4, 4] as const
    const byPlace = (_: number, voxel: number, o: number) => Math.sin(voxel + o)
    const constant = () => 2
    const got = await predicted(shape, patch, [predictor(byPlace, 64), predictor(constant, 64)], { overlap: 0.5 })
    const bell = (i: number) => Math.exp(-0.5 * ((i - 1.5) / 0.5) ** 2)
    // Room 1 and 3: steps of at most 2 voxels.
    const starts = [0, 1].flatMap((x) => [0, 2, 3].map((z) => [x, 0, z]))
    expect(windowCount(shape, { patch, overlap: 0.5 })).toBe(6)
    for (let x = 0, i = 0; x < 5; x++)
      for (let y = 0; y < 4; y++)
        for (let z = 0; z < 7; z++)
          for (let o = 0; o < 2; o++, i++) {
            let [sum, weights] = [0, 0]
            for (const start of starts) {
              const [a, b, c] = [x - start[0]!, y - start[1]!, z - start[2]!]
              if ([a, b, c].some((v) => v < 0 || v > 3)) continue
              const weight = Math.max(1e-3, bell(a) * bell(b) * bell(c))
              sum += weight * 0.5 * (sigmoid(byPlace(0, (a * 4 + b) * 4 + c, o)) + sigmoid(2))
              weights += weight
            }
            expect(Math.abs(got[i]! - sum / weights), `voxel ${x} ${y} ${z}`).toBeLessThan(1e-5)
          }
  })

  it('stops where it is told to', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(predicted([9, 9, 9], [4, 4, 4], [predictor(byValue, 64)], { signal })).rejects.toThrow('enough')
  })
})
