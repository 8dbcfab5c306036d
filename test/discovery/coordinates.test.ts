import { describe, expect, test } from 'vitest'
import { chooseClasses, chooseNeighbours, choosePatch } from '../../src/discovery/choose.js'
import { contentOf, densityScore, resemblance } from '../../src/discovery/content.js'
import { type Company, drawPlaces } from '../../src/discovery/coordinates.js'
import { instanceBoxes } from '../../src/discovery/crops.js'
import { boxAt, coordinateOf, fits, makeFrame } from '../../src/discovery/frame.js'
import { type CoordinateRules, distanceIn, placesFor, startingRules } from '../../src/discovery/rules.js'
import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'
import { bodies, body } from './fixture.js'

const everyone = (count: number): Company => {
  const all = Array.from({ length: count }, (_, index) => ({ index, distance: index }))
  return {
    of: async (reference) => [all[reference]!, ...all.filter(({ index }) => index !== reference)],
    wanted: count,
  }
}
const anything: CoordinateRules = {
  borders: { kind: 'voxels', extents: [0, 0, 0] },
  separation: 0,
  density: undefined,
  tissue: 0,
  structure: 0,
  resemblance: -1,
}

describe('frames', () => {
  test('the body frame finds the same part of the body at the same size, whatever voxels and field of view are', () => {
    const coarse = body('coarse', { shape: [40, 40, 40], spacing: [2, 2, 4], low: [10, 4, 0], high: [30, 36, 40] })
    const fine = body('fine', { shape: [60, 100, 90], spacing: [1, 1, 2], low: [10, 20, 5], high: [50, 84, 85] })
    // Both bodies have 40 x 64 x 160 mm; the patch has the median voxel size, here the mean of two.
    const frame = makeFrame('body', [8, 8, 8], [coarse, fine])
    expect(frame).toMatchObject({ millimetres: [12, 12, 24] })
    const coordinate = [0.5, 0.25, 0.75] as const
    // Centres: (10 + 0.5 * 20, 4 + 0.25 * 32, 0.75 * 40) = (20, 12, 30); sizes 12 / 2, 12 / 2, 24 / 4.
    expect(boxAt(frame, coarse, coordinate)).toEqual({ start: [17, 9, 27], size: [6, 6, 6] })
    // Centres: (10 + 20, 20 + 16, 5 + 60) = (30, 36, 65); sizes 12, 12, 12.
    expect(boxAt(frame, fine, coordinate)).toEqual({ start: [24, 30, 59], size: [12, 12, 12] })
    expect(coordinateOf(frame, fine, { start: [24, 30, 59], size: [12, 12, 12] })).toEqual(coordinate)
  })

  test('a box is moved into the scan, and centred where the scan is smaller than it', () => {
    const scan = body('small', { shape: [20, 6, 20], spacing: [1, 1, 1], low: [0, 0, 0], high: [20, 6, 20] })
    const frame = makeFrame('body', [8, 8, 8], [scan])
    expect(boxAt(frame, scan, [0, 0.9, 1])).toEqual({ start: [0, -1, 12], size: [8, 8, 8] })
  })

  test('the voxel frame takes the same voxels everywhere', () => {
    const frame = makeFrame('voxel', [8, 8, 4], bodies(2))
    for (const scan of bodies(2)) expect(boxAt(frame, scan, [3, 4, 5])).toEqual({ start: [3, 4, 5], size: [8, 8, 4] })
  })
})

describe('what a box shows', () => {
  /** One column of voxels in Hounsfield units. */
  const column = (...units: number[]) => ({
    shape: [1, 1, units.length] as Extents,
    modality: 'ct',
    window: [-1000, 1000] as const,
    voxels: Uint16Array.from(units, (unit) => ((unit + 1000) / 2000) * 65535),
  })

  test('density scores by hand: 1 for a dense voxel, 0.5 for one below it, 0 else', () => {
    const box = (size: number) => ({ start: [0, 0, 0] as const, size: [1, 1, size] as const })
    // air, air, tissue, air: 0, 0.5, 1, 0
    expect(densityScore(column(-1000, -1000, 0, -1000), box(4))).toBe(1.5 / 4)
    // -151 HU is not dense, -149 HU is
    expect(densityScore(column(-151, -149), box(2))).toBe(1.5 / 2)
    // The slice above the box counts: 0.5 for the voxel below it
    expect(densityScore(column(-1000, -1000, 0), box(2))).toBe(0.5 / 2)
    expect(densityScore(column(0, 0, 0), box(3))).toBe(1)
    expect(densityScore(column(-900, -900, -900), box(3))).toBe(0)
  })

  test('the density score agrees with its definition on noise', () => {
    const random = new Random(1, 'test/density')
    const shape = [5, 6, 12] as const
    const units = Array.from({ length: 360 }, () => (random.chance(0.2) ? 40 : -800))
    const scan = { ...column(...units), shape }
    const [start, size] = [
      [1, 1, 2],
      [3, 4, 9],
    ] as const
    let sum = 0
    for (let x = 1; x < 4; x++)
      for (let y = 1; y < 5; y++)
        for (let z = 2; z < 11; z++) {
          const first = [0, 1, 2].find((k) => z + k < 12 && units[(x * 6 + y) * 12 + z + k] === 40)
          sum += first === 0 ? 1 : first === 1 ? 0.5 : 0
        }
    expect(densityScore(scan, { start, size })).toBeCloseTo(sum / (3 * 4 * 9), 12)
  })

  test('tissue is the part that is no air, and a flat box has no structure', () => {
    const scan = body('p', { low: [0, 0, 0], high: [16, 32, 32] })
    expect(contentOf(scan, { start: [8, 0, 0], size: [16, 16, 16] }).tissue).toBeCloseTo(0.5, 2)
    const air = contentOf(scan, { start: [20, 0, 0], size: [8, 8, 8] })
    expect(air).toMatchObject({ tissue: 0, structure: 0 })
    const half = contentOf(scan, { start: [8, 0, 0], size: [16, 16, 16] })
    // Half 0.5, half 0: a standard deviation of 0.25, some more for the organs.
    expect(half.structure).toBeGreaterThan(0.24)
    expect(half.structure).toBeLessThan(0.3)
    expect(resemblance(half, half)).toBeCloseTo(1, 12)
    expect(resemblance(half, air)).toBe(0)
  })
})

describe('rules', () => {
  test('published borders hold on a published scan: 100 voxels in x and y, 30 in z', () => {
    const scan = {
      id: 's',
      shape: [512, 512, 256],
      spacing: [1, 1, 1],
      body: { low: [0, 0, 0], high: [512, 512, 256] },
    } as const
    const frame = makeFrame('voxel', [64, 64, 32], [scan])
    const rules = startingRules(frame, {})
    expect(rules).toMatchObject({ separation: 5, density: 0.15 })
    expect(placesFor(frame, rules, scan, [64, 64, 32], [1, 1, 1])).toEqual({
      low: [100, 100, 30],
      high: [512 - 64 - 100, 512 - 64 - 100, 256 - 32 - 30],
    })
  })

  test('borders shrink with the scan, and a scan too thin for the box has no place but stops nothing', () => {
    const thin = {
      id: 't',
      shape: [128, 128, 20],
      spacing: [1, 1, 1],
      body: { low: [0, 0, 0], high: [128, 128, 20] },
    } as const
    const frame = makeFrame('voxel', [64, 64, 16], [thin])
    const rules = startingRules(frame, {})
    expect(placesFor(frame, rules, thin, [64, 64, 16], [1, 1, 1])).toEqual({ low: [25, 25, 2], high: [39, 39, 2] })
    expect(placesFor(frame, rules, thin, [64, 64, 32], [1, 1, 1])).toBeUndefined()
  })

  test('coordinates are near when they are near along all axes', () => {
    const frame = makeFrame('voxel', [8, 8, 8], bodies(2))
    const distance = distanceIn(frame, bodies(2))
    expect(distance([0, 0, 0], [4, 4, 5])).toBe(5)
    expect(distance([0, 0, 0], [4, 4, 4])).toBe(4)
  })

  test('in the body frame distance is in patches', () => {
    const scans = [body('a', { shape: [40, 40, 40], spacing: [1, 1, 1], low: [0, 0, 0], high: [40, 40, 40] })]
    const frame = makeFrame('body', [10, 10, 10], scans)
    expect(distanceIn(frame, scans)([0.5, 0.5, 0.5], [0.75, 0.5, 0.6])).toBeCloseTo(1, 12)
  })
})

describe('drawing places', () => {
  const scans = bodies(8).filter(({ split }) => split === 'train')

  test('they keep the rules, repeat with the seed, and each reference serves once', async () => {
    const frame = makeFrame('body', [8, 8, 8], scans)
    const rules = startingRules(frame, {})
    const { places, notes } = await drawPlaces(frame, scans, everyone(scans.length), rules, 5, 3)
    expect(notes).toEqual([])
    expect(places).toHaveLength(5)
    expect(new Set(places.map(({ reference }) => reference)).size).toBe(5)
    const distance = distanceIn(frame, scans)
    for (const [i, a] of places.entries()) {
      for (const b of places.slice(0, i)) expect(distance(a.coordinate, b.coordinate)).toBeGreaterThanOrEqual(0.5)
      const scan = scans[a.reference]!
      const box = boxAt(frame, scan, a.coordinate)
      expect(fits(box, scan.shape)).toBe(true)
      const content = contentOf(scan, box)
      expect(content.tissue).toBeGreaterThanOrEqual(rules.tissue)
      expect(content.structure).toBeGreaterThanOrEqual(rules.structure)
      const alike = scans.map((other) => resemblance(content, contentOf(other, boxAt(frame, other, a.coordinate))))
      expect(alike.reduce((sum, value) => sum + value) / alike.length).toBeGreaterThanOrEqual(rules.resemblance)
    }
    expect((await drawPlaces(frame, scans, everyone(scans.length), rules, 5, 3)).places).toEqual(places)
    expect((await drawPlaces(frame, scans, everyone(scans.length), rules, 5, 4)).places).not.toEqual(places)
  })

  test('a near duplicate does not use up the tries: one flag, reset', async () => {
    // Starts 0 to 10, so whatever the first is, some are 5 away from it: they are found though most tries are too near.
    const scan = body('one', { shape: [18, 8, 8], low: [0, 0, 0], high: [18, 8, 8] })
    const frame = makeFrame('voxel', [8, 8, 8], [scan])
    const rules = { ...anything, separation: 5 }
    const { places, notes } = await drawPlaces(frame, [scan, scan], everyone(2), rules, 2, 1)
    const [a, b] = places.map(({ coordinate }) => coordinate[0])
    expect(Math.abs(a! - b!)).toBeGreaterThanOrEqual(5)
    expect(notes).toEqual([])
  })

  test('rules that cannot be kept are relaxed in their order, aloud', async () => {
    const frame = makeFrame('voxel', [8, 8, 8], scans)
    // All is dense: no density limit below 1 can be kept.
    const rules = startingRules(frame, { density: 0.01, separation: 2 })
    const { places, notes } = await drawPlaces(frame, scans, everyone(scans.length), rules, 8, 1)
    expect(places).toHaveLength(8)
    expect(notes.map((note) => note.replace(/^From pattern \d+ on, /, ''))).toEqual([
      'the density limit is 0.02: the rules before left no place.',
      'patterns may be as near as 1 voxels: the rules before left no place.',
      'crops may reach to the borders: the rules before left no place.',
      'what a crop shows no longer counts: the rules before left no place.',
      'scans serve as reference again: all have served once.',
    ])
  })

  test('fewer places come when there is no room for more', async () => {
    const scan = body('one', { shape: [12, 8, 8], low: [0, 0, 0], high: [12, 8, 8] })
    const frame = makeFrame('voxel', [8, 8, 8], [scan])
    const { places } = await drawPlaces(frame, [scan], everyone(1), { ...anything, separation: 4 }, 10, 1)
    // Starts 0 to 4, at least 2 apart after the one relaxation there is.
    expect(places.length).toBeGreaterThanOrEqual(2)
    expect(places.length).toBeLessThanOrEqual(3)
  })

  test('scans thinner than the patch serve no reference and crash nothing', async () => {
    const thin = body('thin', { shape: [32, 32, 9] })
    const frame = makeFrame('voxel', [8, 8, 16], [thin, ...scans])
    const { places } = await drawPlaces(frame, [thin, ...scans], everyone(7), anything, 6, 1)
    expect(places.map(({ reference }) => reference)).not.toContain(0)
    expect(places).toHaveLength(6)
  })
})

describe('sizes of a cohort', () => {
  const cohort = (...shape: [number, number, number]) => [{ shape }]
  test('the patch is the published one in full-size CT, a third of small scans, never larger than they are', () => {
    expect(choosePatch(cohort(512, 512, 300))).toEqual([64, 64, 32])
    expect(choosePatch(cohort(94, 94, 63))).toEqual([32, 32, 24])
    expect(choosePatch(cohort(35, 50, 36))).toEqual([16, 16, 16])
    expect(choosePatch(cohort(20, 12, 9))).toEqual([16, 8, 8])
  })

  test('neighbours are half of the scans, between 12 and 200', () => {
    expect([2, 12, 20, 27, 100, 623].map(chooseNeighbours)).toEqual([2, 12, 12, 14, 50, 200])
  })

  test('as many classes as there is room for, at most the published 44', () => {
    const of = (extent: number, patch: Extents) => {
      const scan = body('s', { shape: [extent, extent, extent], low: [0, 0, 0], high: [extent, extent, extent] })
      const frame = makeFrame('body', patch, [scan])
      return chooseClasses(frame, startingRules(frame, {}), [scan])
    }
    expect(of(64, [8, 8, 8])).toBe(44)
    expect(of(20, [8, 8, 8])).toBeLessThan(20)
    expect(of(10, [8, 8, 8])).toBe(2)
  })
})

describe('resolutions', () => {
  test('two more boxes an instance: 50 to 79 64ths wide and high, moved by at most 10 64ths, as deep', () => {
    const own = { start: [100, 120, 40], size: [64, 64, 32] } as const
    const frame = { name: 'voxel', patch: [64, 64, 32] } as const
    const sizes = new Set<number>()
    for (let i = 0; i < 300; i++) {
      const boxes = instanceBoxes(frame, own, [512, 512, 100], new Random(1, 'test', i))
      expect(boxes).toHaveLength(3)
      expect(boxes[0]).toEqual(own)
      for (const { start, size } of boxes.slice(1)) {
        expect([start[2], size[2]]).toEqual([40, 32])
        for (const axis of [0, 1] as const) {
          expect(size[axis]).toBeGreaterThanOrEqual(50)
          expect(size[axis]).toBeLessThan(80)
          expect(Math.abs(start[axis] - own.start[axis])).toBeLessThanOrEqual(10)
          sizes.add(size[axis])
        }
      }
    }
    // All thirty sizes come about.
    expect(sizes.size).toBe(30)
  })
})
