import { expect, test } from 'vitest'
import { aligned } from '../../src/discovery/alignment.js'
import { contentOf, resemblance } from '../../src/discovery/content.js'
import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'

/** A bright ball in soft tissue, with noise. */
function ball(centre: Extents, seed: number) {
  const shape: Extents = [48, 48, 40]
  const random = new Random(seed, 'test/ball')
  const voxels = new Uint16Array(shape[0] * shape[1] * shape[2])
  for (let x = 0, i = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++) {
        const inside = Math.hypot(x - centre[0], y - centre[1], z - centre[2]) < 5
        voxels[i] = 65535 * ((inside ? 0.9 : 0.5) + random.uniform(-0.05, 0.05))
      }
  return { shape, modality: 'ct', window: [-1000, 1000] as const, voxels }
}

const box = { start: [16, 16, 12], size: [16, 16, 16] } as const
const content = contentOf(ball([24, 24, 20], 1), box)

test('a box follows what its reference shows, in steps of an eighth of its size', () => {
  const scan = ball([28, 22, 20], 2)
  const moved = aligned(scan, box, content)
  expect(moved).toEqual({ start: [20, 14, 12], size: [16, 16, 16] })
  expect(resemblance(content, contentOf(scan, moved))).toBeGreaterThan(0.9)
})

test('it goes no farther than a quarter of its size, and not out of the scan', () => {
  expect(aligned(ball([40, 24, 20], 2), box, content).start[0]).toBeLessThanOrEqual(20)
  const corner = { start: [0, 0, 0], size: [16, 16, 16] } as const
  expect(aligned(ball([6, 6, 6], 2), corner, content)).toEqual(corner)
})

test('noise moves no box', () => {
  for (let seed = 2; seed < 12; seed++) expect(aligned(ball([24, 24, 20], seed), box, content)).toEqual(box)
})
