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
    const place = drawPlace({ kinds: [augmentation], strength: 'mild' }, patch, [10, 20, 30], [1, 2, 3], random)
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

it.each([
  ['mild', 1.2, Math.PI / 12],
  ['strong', 1.25, Math.PI / 8],
] as const)('scales and turns as far as --augment-strength says: %s', (strength, factor, angle) => {
  const random = new Random(2, 'strength')
  const draw = (kind: Augmentation) => drawPlace({ kinds: [kind], strength }, [8, 8, 8], [9, 9, 9], [1, 1, 1], random)
  let [scaled, stretched, turned] = [0, 0, 0]
  for (let i = 0; i < 2000; i++) {
    const place = draw('scaling')
    const scales = [place[0]!, place[5]!, place[10]!]
    scaled = Math.max(scaled, ...scales.map((scale) => Math.max(scale, 1 / scale)))
    stretched = Math.max(stretched, Math.max(...scales) / Math.min(...scales))
    // The middle column of rotations about x, then y, then z: its last entry is cos(y) sin(x), at most sin(most).
    turned = Math.max(turned, Math.abs(Math.asin(draw('rotations')[9]!)))
  }
  // The largest of some hundreds of uniform draws lies within a fiftieth of the bound, and never beyond it.
  const within = (value: number, bound: number) => {
    expect(value).toBeLessThanOrEqual(bound * (1 + 1e-9))
    expect(value).toBeGreaterThan(0.98 * bound)
  }
  within(scaled, factor)
  within(turned, angle)
  if (strength === 'mild') expect(stretched).toBeCloseTo(1, 9)
  else expect(stretched).toBeGreaterThan(factor)
})
