import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'
import { fillPatches, type PatchRequest, type Place, placeAt } from '../../src/transfer/patches.js'

const shape = [7, 5, 6] as const
const random = new Random(1, 'test/patches')
const scan = () => ({ shape, voxels: Uint16Array.from({ length: 210 }, () => random.integer(0, 65536)) })
const channels = [scan(), scan()]
const labels = Uint8Array.from({ length: 210 }, () => random.integer(0, 4))
/** Label 1 belongs to output 0, 2 to both, 3 to output 1. */
const codes = { codes: Array.from({ length: 256 }, (_, label) => [0, 1, 3, 2][label] ?? 0), outputs: 2 }

/** What the documentation says, voxel by voxel, in float64. */
function reference({ channels, labels, place, gain, offset }: PatchRequest, patch: Extents) {
  const input: number[] = []
  const target: number[] = []
  const [nx, ny, nz] = channels[0]!.shape
  const index = (x: number, y: number, z: number) => (x * ny + y) * nz + z
  for (let x = 0; x < patch[0]; x++)
    for (let y = 0; y < patch[1]; y++)
      for (let z = 0; z < patch[2]; z++) {
        const p = [0, 4, 8].map((r) => place[r]! * x + place[r + 1]! * y + place[r + 2]! * z + place[r + 3]!)
        const [i, j, k] = p.map((v) => Math.floor(v + 0.5)) as [number, number, number]
        const outside = i < 0 || i >= nx || j < 0 || j >= ny || k < 0 || k >= nz
        for (const { voxels } of channels) {
          let value = 0
          for (let corner = 0; corner < 8; corner++) {
            let weight = 1
            const at = [nx, ny, nz].map((extent, axis) => {
              const clamped = Math.min(Math.max(p[axis]!, 0), extent - 1)
              const low = Math.floor(clamped)
              const high = (corner >> axis) & 1
              weight *= high ? clamped - low : 1 - (clamped - low)
              return Math.min(low + high, extent - 1)
            }) as [number, number, number]
            value += weight * voxels[index(...at)]!
          }
          input.push(outside ? 0 : gain * (value / 65535) + offset)
        }
        const code = outside || !labels ? 0 : codes.codes[labels[index(i, j, k)]!]!
        target.push(code & 1, code >> 1)
      }
  return { input, target }
}

async function filled(requests: PatchRequest[], patch: Extents, threads = 2) {
  const voxels = requests.length * patch[0] * patch[1] * patch[2]
  const input = new Float32Array(voxels * 2).fill(Number.NaN)
  const target = new Float32Array(voxels * 2).fill(Number.NaN)
  await fillPatches(requests, patch, codes, input, target, threads)
  return { input, target }
}

const turn = Math.PI / 7
const places: Record<string, Place> = {
  'the scan itself': placeAt([0, 0, 0]),
  'a box that reaches over every border': placeAt([-2, 3, -1]),
  'a turned and stretched one': [
    1.2 * Math.cos(turn),
    -Math.sin(turn),
    0,
    0.37,
    Math.sin(turn),
    0.9 * Math.cos(turn),
    0.1,
    0.61,
    0,
    -0.2,
    1.1,
    0.43,
  ],
  'a mirrored one': [-1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 0],
}

describe('fillPatches', () => {
  it.each(Object.entries(places))('cuts %s', async (_, place) => {
    const patch = [6, 4, 7] as const
    const request = { channels, labels, place, gain: 0.8, offset: 0.05 }
    const { input, target } = await filled([request], patch)
    const expected = reference(request, patch)
    // Interpolation in float32 of 16-bit numbers: a few units in the seventh digit.
    expected.input.forEach((value, i) => {
      expect(Math.abs(input[i]! - value), `voxel ${i}`).toBeLessThan(1e-6)
    })
    expect([...target]).toEqual(expected.target)
  })

  it('fills a batch, whatever the threads, and needs no labels', async () => {
    const requests = Object.values(places).map((place) => ({ channels, labels, place, gain: 1, offset: 0 }))
    const patch = [5, 5, 5] as const
    const one = await filled(requests, patch, 1)
    expect(await filled(requests, patch, 3)).toEqual(one)
    const alone = await filled([requests[2]!], patch)
    expect(one.input.subarray(500, 750)).toEqual(alone.input)
    const blind = await filled([{ ...requests[2]!, labels: undefined }], patch)
    expect(blind.input).toEqual(alone.input)
    expect(blind.target.every((value) => value === 0)).toBe(true)
  })

  it('refuses what does not fit, in one sentence, and writes nothing', async () => {
    const request = { channels, labels, place: placeAt([0, 0, 0]), gain: 1, offset: 0 }
    const refused = (given: object, patch: Extents = [4, 4, 4]) => filled([{ ...request, ...given }], patch)
    const other = { shape: [7, 5, 7] as const, voxels: new Uint16Array(245) }
    await expect(refused({ channels: [channels[0]!, other] })).rejects.toThrow(/lie on one grid/)
    await expect(refused({ labels: new Uint8Array(3) })).rejects.toThrow(/one label a voxel/)
    await expect(refused({ place: [1, 2] })).rejects.toThrow(/place must have 12 elements/)
    await expect(refused({ place: placeAt([2 ** 40, 0, 0]) })).rejects.toThrow(/within 2\^30 voxels/)
    await expect(refused({ gain: Number.NaN })).rejects.toThrow(/gain must be a finite number/)
    await expect(refused({}, [0, 4, 4])).rejects.toMatchObject({ code: 'BAD_OPTION' })
  })
})
