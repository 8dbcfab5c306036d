import { expect, test } from 'vitest'
import { PatchSampler } from '../../src/transfer/patch-sampler.js'
import type { PreparedCase } from '../../src/transfer/prepared-cases.js'

/** A voxel of each of four labels, far from each other in a scan of 40 x 8 x 8. */
const centres = [5, 15, 25, 35]
const of = {
  id: 'one',
  channels: [{ shape: [40, 8, 8], spacing: [1, 1, 1] }],
  places: new Map(centres.map((x, i) => [i + 1, Uint32Array.of((x * 8 + 4) * 8 + 4)])),
} as unknown as PreparedCase

test('patches are centred on each label as often, however many outputs have it', () => {
  const draws = { patch: [4, 4, 4], seed: 2, foreground: 1, augment: { kinds: [], strength: 'mild' } } as const
  // Of whole=1-4, core=1,3,4 and enhancing=4.
  const sampler = new PatchSampler([of], { ...draws, labels: [1, 2, 3, 4, 1, 3, 4, 4] })
  const counts = new Map<number, number>()
  for (const { place } of sampler.batch(0, 4000)) counts.set(place[3]! + 2, (counts.get(place[3]! + 2) ?? 0) + 1)
  expect([...counts.keys()].sort((a, b) => a - b)).toEqual(centres)
  // A binomial's deviation is 27; four of them are allowed.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(110)
})
