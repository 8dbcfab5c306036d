import { describe, expect, it } from 'vitest'
import { BodyFrame } from '../../src/phantom/frame.js'
import { thinness } from '../../src/phantom/paint.js'
import { drawPatient } from '../../src/phantom/patient.js'
import { curve, ellipsoid, rod, smoothUnion, type Vector } from '../../src/phantom/shapes.js'
import { growTree } from '../../src/phantom/tree.js'
import { Random } from '../../src/random.js'

const random = new Random(1, 'shape tests')
const point = (reach: number): Vector => [
  random.uniform(-reach, reach),
  random.uniform(-reach, reach),
  random.uniform(-reach, reach),
]

describe('distances', () => {
  it('of a rod are those to the nearest of many balls along it', () => {
    const [a, b] = [point(20), point(20)]
    const solid = rod(a, b, 3, 7)
    for (let n = 0; n < 200; n++) {
      const p = point(40)
      let nearest = Number.POSITIVE_INFINITY
      for (let i = 0; i <= 2000; i++) {
        const t = i / 2000
        const centre = a.map((value, axis) => value + (b[axis]! - value) * t)
        nearest = Math.min(nearest, Math.hypot(...p.map((value, axis) => value - centre[axis]!)) - 3 - 4 * t)
      }
      // The rod takes the ball nearest to its axis, which is not quite the nearest where it widens.
      expect(solid.distance(...p, 0)).toBeGreaterThan(nearest - 0.01)
      expect(solid.distance(...p, 0)).toBeLessThan(nearest + 0.12 * Math.max(4, nearest))
    }
  })

  it('of an ellipsoid have the sign of its equation, and are exact on a sphere', () => {
    const axes: Vector = [30, 12, 20]
    const plain = ellipsoid([1, 2, 3], axes)
    const sphere = ellipsoid([1, 2, 3], [9, 9, 9], [10, 20, 30])
    for (let n = 0; n < 300; n++) {
      const p = point(40)
      const from = [p[0] - 1, p[1] - 2, p[2] - 3]
      const value = Math.hypot(...from.map((d, axis) => d / axes[axis]!)) - 1
      expect(Math.sign(plain.distance(...p, 0))).toBe(Math.sign(value))
      expect(sphere.distance(...p, 0)).toBeCloseTo(Math.hypot(...from) - 9, 9)
    }
  })

  it('turn with an ellipsoid, and its box holds it', () => {
    // A long axis along x, turned by 90 degrees about z, lies along y.
    const turned = ellipsoid([0, 0, 0], [30, 10, 10], [0, 0, 90])
    expect(turned.distance(0, 29, 0, 0)).toBeLessThan(0)
    expect(turned.distance(29, 0, 0, 0)).toBeGreaterThan(0)
    const oblique = ellipsoid([5, 5, 5], [30, 10, 20], [25, 40, -70])
    for (let n = 0; n < 3000; n++) {
      const p = point(45)
      if (oblique.distance(...p, 0) < 0)
        for (const axis of [0, 1, 2] as const) {
          expect(p[axis]).toBeGreaterThanOrEqual(oblique.box.low[axis])
          expect(p[axis]).toBeLessThanOrEqual(oblique.box.high[axis])
        }
    }
  })

  it('join smoothly', () => {
    expect(smoothUnion(3, 50, 10)).toBe(3)
    expect(smoothUnion(3, 3, 8)).toBeCloseTo(3 - 8 / 4, 12)
  })
})

it('a curve goes through its stations', () => {
  const stations = [
    [0, 0, 0, 1],
    [10, 5, 0, 2],
    [20, -5, 8, 3],
  ] as const
  const points = curve(stations, 4)
  expect(points).toHaveLength(9)
  for (const [i, station] of stations.entries())
    for (const axis of [0, 1, 2, 3] as const) expect(points[i * 4]![axis]).toBeCloseTo(station[axis], 12)
})

it('a rod thinner than a voxel is painted as heavy as it is', () => {
  for (const radius of [0.1, 0.4, 0.9, 1.3]) {
    const voxel = 2.7
    const solid = rod([0, 0, -50], [0, 0, 50], radius, radius)
    let painted = 0
    // Fine sampling stands for all places that the voxel grid may have.
    const step = 0.02
    for (let x = -4; x < 4; x += step)
      for (let y = -4; y < 4; y += step)
        painted += Math.max(0, Math.min(1, 0.5 - solid.distance(x, y, 0, 0) / voxel)) * step * step
    expect(painted * thinness(radius, voxel)).toBeCloseTo(Math.PI * radius ** 2, 2)
  }
})

it('the way into the world leads back to the body', () => {
  for (const index of [1, 2, 3]) {
    const frame = new BodyFrame(drawPatient(5, index), [12, -30, -400])
    let bent = 0
    for (let n = 0; n < 200; n++) {
      const body = point(150)
      const back = frame.toBody(frame.toWorld(body))
      // Four rounds, each leaving about a tenth of some 3 mm.
      expect(Math.hypot(...back.map((value, axis) => value - body[axis]!))).toBeLessThan(0.05)
      const straight = frame.straight(frame.toWorld(body))
      bent = Math.max(bent, Math.hypot(...straight.map((value, axis) => value - body[axis]!)))
    }
    expect(bent).toBeGreaterThan(2)
    expect(bent).toBeLessThan(20)
  }
})

it('a tree is connected, reaches every point, and thins out by Murray’s law', () => {
  const points = Array.from({ length: 60 }, () => point(50))
  const branches = growTree([0, 0, 90], points, 1, 100)
  const ends = new Set(branches.map(({ to }) => to.join()))
  for (const { from } of branches) expect(ends.has(from.join()) || from.join() === '0,0,90').toBe(true)
  expect(branches).toHaveLength(2 * points.length - 1)
  const tips = branches.filter(({ radiusTo }) => radiusTo === 0.8)
  expect(tips).toHaveLength(points.length)
  for (const { radiusFrom, radiusTo } of branches) expect(radiusTo).toBeLessThanOrEqual(radiusFrom)
  expect(branches[0]!.radiusFrom).toBeCloseTo(Math.cbrt(60), 12)
  // A tip ends nine tenths of its way, so its point is near.
  for (const p of points) {
    const nearest = Math.min(...tips.map(({ to }) => Math.hypot(p[0] - to[0], p[1] - to[1], p[2] - to[2])))
    expect(nearest).toBeLessThan(12)
  }
})
