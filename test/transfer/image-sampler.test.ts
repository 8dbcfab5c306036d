import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import { type ImageDraws, ImageSampler, plainRequest } from '../../src/transfer/image-sampler.js'
import type { ReadyImage } from '../../src/transfer/labelled-images.js'
import { fillPatches } from '../../src/transfer/patches.js'

const shape: Extents = [6, 4, 8]
const images = Array.from({ length: 10 }, (_, i): ReadyImage => {
  const voxels = Uint16Array.from({ length: 6 * 4 * 8 }, (_, at) => 300 * at + i)
  return {
    id: `i${i}`,
    patient: `i${i}`,
    split: 'train',
    truth: i === 9 ? [0, 1] : i === 8 ? [] : [i < 6 ? 0 : 1],
    channels: [{ voxels, shape }],
    spacing: [1, 1, 1],
    middle: [2.5, 1.5, 3.5],
  }
})
const draws = (given: Partial<ImageDraws>): ImageDraws => ({
  patch: shape,
  seed: 3,
  augment: { kinds: [], strength: 'mild' },
  balanced: false,
  ...given,
})
const named = (sampler: ImageSampler, count: number) => sampler.batch(0, count).map(({ image }) => image.id)

describe('the row of training images', () => {
  it('goes through all of them, pass after pass, each in its own order', () => {
    const row = named(new ImageSampler(images, draws({})), 30)
    const passes = [row.slice(0, 10), row.slice(10, 20), row.slice(20)]
    for (const pass of passes) expect([...pass].sort()).toEqual(images.map(({ id }) => id))
    expect(passes[0]).not.toEqual(passes[1])
    // A resumed run asks for later batches only.
    const later = new ImageSampler(images, draws({})).batch(2, 10)
    expect(later.map(({ image }) => image.id)).toEqual(passes[2])
  })

  it('balanced, gives every class as often, and every image of a class', () => {
    const row = named(new ImageSampler(images, draws({ balanced: true })), 3 * 24)
    const count = (ids: string[]) => row.filter((id) => ids.includes(id)).length
    // Three groups: those of class 0 (i0 to i5 and i9), of class 1 (i6, i7 and i9), and of none (i8), 24 times each.
    expect(count(['i8'])).toBe(24)
    expect(count(['i6', 'i7'])).toBe(16)
    // 24 turns of seven images: three passes and three more.
    expect(count(['i9'])).toBeGreaterThanOrEqual(8 + 3)
    expect(count(['i0', 'i1', 'i2', 'i3', 'i4', 'i5', 'i9'])).toBe(24 + 8)
  })

  it('draws what happens to an image from seed and place alone, and within its bounds', () => {
    const kinds = ['flips', 'rotations', 'scaling', 'shifts', 'intensity'] as const
    const augment = { kinds, strength: 'mild' } as const
    const sampler = () => new ImageSampler(images, draws({ augment }))
    const requests = sampler().batch(0, 40)
    expect(
      sampler()
        .batch(5, 5)
        .map(({ request }) => request),
    ).toEqual(requests.slice(25, 30).map((one) => one.request))
    const middles = requests.map(({ request: { place } }) =>
      [0, 1, 2].map((row) =>
        [0, 1, 2].reduce((sum, c) => sum + (place[4 * row + c]! * (shape[c]! - 1)) / 2, place[4 * row + 3]!),
      ),
    )
    // A sixteenth of the patch along each axis, to rounding.
    for (const middle of middles)
      middle.forEach((voxel, axis) => {
        expect(Math.abs(voxel - images[0]!.middle[axis]!)).toBeLessThanOrEqual(shape[axis]! / 16 + 1e-9)
      })
    expect(new Set(middles.map((middle) => middle[0]!.toFixed(6))).size).toBeGreaterThan(10)
  })

  it('cuts an image as it lies, or mirrored', async () => {
    const codes = { codes: new Array<number>(256).fill(0), outputs: 0 }
    const [plain, turned] = [new Float32Array(192), new Float32Array(192)]
    await fillPatches([plainRequest(images[1]!, shape)], shape, codes, plain)
    await fillPatches([plainRequest(images[1]!, shape, [-1, 1, -1])], shape, codes, turned)
    const { voxels } = images[1]!.channels[0]!
    // A float32 quotient.
    plain.forEach((value, i) => {
      expect(Math.abs(value - voxels[i]! / 65535)).toBeLessThan(1e-7)
    })
    for (let x = 0; x < 6; x++)
      for (let y = 0; y < 4; y++)
        for (let z = 0; z < 8; z++)
          expect(turned[(x * 4 + y) * 8 + z]).toBeCloseTo(plain[((5 - x) * 4 + y) * 8 + 7 - z]!, 6)
  })
})
