import { describe, expect, it } from 'vitest'
import { type CropScan, firstCrops, patternCrops, randomCrops } from '../../src/training/crops.js'
import { Sampler } from '../../src/training/sampler.js'

const crop = (scan: string, split: string) => ({ scan, start: [0, 0, 0] as const, size: [8, 8, 8] as const, split })
const patterns = {
  classes: [
    { crops: [crop('a', 'train'), crop('b', 'train'), crop('v', 'validation'), crop('c', 'train')] },
    { crops: [crop('a', 'train'), crop('w', 'validation'), crop('v', 'validation')] },
    { crops: [crop('b', 'train'), crop('c', 'train')] },
  ],
}

describe('patternCrops', () => {
  it('takes every crop of a split, patterns in turn', () => {
    const source = patternCrops(patterns, 'train')
    const seen = Array.from({ length: source.size }, (_, i) => source.crop(0, i))
    expect(seen.map(({ scan, label }) => scan + label)).toEqual(['a0', 'a1', 'b2', 'b0', 'c2', 'c0'])
    expect(source.crop(7, 3)).toBe(source.crop(0, 3))
  })

  it('keeps all patterns when it is shortened, and only held-out crops for validation', () => {
    const source = firstCrops(patternCrops(patterns, 'validation'), 2)
    expect([source.crop(0, 0), source.crop(0, 1)].map(({ scan, label }) => scan + label)).toEqual(['v0', 'w1'])
    expect(source.size).toBe(2)
  })
})

describe('Sampler', () => {
  const source = patternCrops(patterns, 'train')

  it('gives each crop once a pass, whatever the batch, and leaves none out', () => {
    // 6 crops in batches of 4: the second batch of a pass reaches into the next one.
    const sampler = new Sampler(source, 5, 'joint')
    const seen = [0, 1, 2, 3, 4, 5].flatMap((step) => sampler.batch(step, 4))
    for (let pass = 0; pass < 4; pass++) {
      const part = seen.slice(pass * 6, pass * 6 + 6)
      expect(part.map((sample) => sample.pass)).toEqual(Array(6).fill(pass))
      expect(part.map((sample) => sample.index).sort()).toEqual([0, 1, 2, 3, 4, 5])
    }
  })

  it('depends on seed, stage and position alone', () => {
    const row = (seed: number, stage: string) => new Sampler(source, seed, stage).batch(0, 60).map((s) => s.index)
    const late = new Sampler(source, 5, 'joint')
    expect(late.batch(7, 4)).toEqual(new Sampler(source, 5, 'joint').batch(0, 60).slice(28, 32))
    expect(late.at(3)).toEqual(new Sampler(source, 5, 'joint').at(3))
    expect(row(5, 'joint')).toEqual(row(5, 'joint'))
    expect(row(6, 'joint')).not.toEqual(row(5, 'joint'))
    expect(row(5, 'classification')).not.toEqual(row(5, 'joint'))
  })
})

describe('randomCrops', () => {
  /** Bright in one corner region, black elsewhere. */
  const scan = (id: string, shape: readonly [number, number, number]): CropScan => {
    const voxels = new Uint16Array(shape[0] * shape[1] * shape[2])
    for (let x = 0; x < shape[0]; x++)
      for (let y = 0; y < shape[1]; y++)
        for (let z = 0; z < shape[2]; z++)
          if (x >= shape[0] / 2 && y >= shape[1] / 2) voxels[(x * shape[1] + y) * shape[2] + z] = 40000
    return { id, shape, voxels }
  }
  const scans = [scan('a', [40, 40, 20]), scan('b', [60, 50, 12])]
  const options = { patch: [16, 16, 16] as const, seed: 3, purpose: 'train', perScan: 50 }

  it('takes as many from every scan, within it, or in its middle where it is too small', () => {
    const source = randomCrops(scans, options)
    expect(source.size).toBe(100)
    const taken = Array.from({ length: 100 }, (_, i) => source.crop(0, i))
    expect(taken.filter(({ scan }) => scan === 'a')).toHaveLength(50)
    for (const { scan: id, start, size } of taken) {
      const { shape } = scans.find((s) => s.id === id)!
      for (const axis of [0, 1]) {
        expect(start[axis]).toBeGreaterThanOrEqual(0)
        expect(start[axis]! + size[axis]!).toBeLessThanOrEqual(shape[axis]!)
        expect(size[axis]).toBeGreaterThanOrEqual(12)
        expect(size[axis]).toBeLessThanOrEqual(20)
      }
      expect(size[2]).toBe(16)
      if (id === 'b') expect(start[2]).toBe(-2)
    }
  })

  it('repeats a pass to the voxel and changes from pass to pass', () => {
    const pass = (n: number) => Array.from({ length: 20 }, (_, i) => randomCrops(scans, options).crop(n, i))
    expect(pass(1)).toEqual(pass(1))
    expect(pass(2)).not.toEqual(pass(1))
  })

  it('prefers boxes with something in them', () => {
    const source = randomCrops(scans, options)
    const share = ({ scan: id, start, size }: ReturnType<typeof source.crop>) => {
      const { shape } = scans.find((s) => s.id === id)!
      const part = (axis: 0 | 1) =>
        Math.max(0, Math.min(size[axis], start[axis] + size[axis] - shape[axis] / 2)) / size[axis]
      return part(0) * part(1)
    }
    const shares = Array.from({ length: 100 }, (_, i) => share(source.crop(0, i)))
    // The grid of 125 points sees a share of 0.25 to within a tenth; random boxes alone would leave half below.
    expect(shares.filter((s) => s > 0.15).length).toBeGreaterThan(90)
  })
})
