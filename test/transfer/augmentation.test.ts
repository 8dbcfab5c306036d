import { expect, it } from 'vitest'
import { Random } from '../../src/random.js'
import { type Augmentation, drawPlace } from '../../src/transfer/augmentation.js'

it.each<[Augmentation, readonly boolean[]]>([
  ['sides', [true, false, false]],
  ['flips', [true, true, true]],
])('mirrors half of all patches about their middle: %s', (augmentation, axes) => {
  const random = new Random(1, 'flips')
  const patch = [8, 6, 4] as const
  const mirrored = [0, 0, 0]
  for (let draw = 0; draw < 1000; draw++) {
    const place = drawPlace([augmentation], patch, [10, 20, 30], [1, 2, 3], random)
    for (const axis of [0, 1, 2]) {
      const sign = place[axis * 5]!
      expect(Math.abs(sign)).toBe(1)
      mirrored[axis]! += sign < 0 ? 1 : 0
      // The patch's middle stays where it was.
      expect(place[axis * 4 + 3]! + (sign * (patch[axis]! - 1)) / 2).toBe([10, 20, 30][axis])
    }
  }
  // Of 1,000 coins, four standard deviations: 4 * sqrt(250) = 63.
  for (const axis of [0, 1, 2]) expect(Math.abs(mirrored[axis]! - (axes[axis] ? 500 : 0))).toBeLessThan(64)
})
