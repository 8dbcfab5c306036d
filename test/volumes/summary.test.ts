import { expect, test } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import { Random } from '../../src/random.js'

const shape = [20, 30, 40] as const
const count = 24_000

/** Numbers about 500, as an MR scan's, and what is put in place of the first of them. */
function values(first: readonly number[]): Float64Array {
  const random = new Random(1, 'summary')
  const all = Float64Array.from({ length: count }, () => 500 + 150 * random.normal())
  all.set(first)
  return all
}

/** The value below which this share of the finite ones lies, by sorting. */
function quantile(of: Float64Array, share: number): number {
  const sorted = of.filter(Number.isFinite).sort()
  return sorted[Math.floor(share * (sorted.length - 1))]!
}

const summary = (data: Float64Array | Float32Array) =>
  addon().summarizeScan({ data, offset: 0, strides: [1200, 40, 1], shape, slope: 1, intercept: 0 })

test.each([
  ['nothing odd', []],
  ['a voxel far out', [1e9]],
  ['voxels far out on both sides', [-1e30, 3e38, 1e12, -4e5]],
  ['voxels as far apart as numbers are', [-1.7e308, 1.7e308]],
  ['voxels that are no numbers', [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 2e10]],
])('quantiles are found whatever lies outside of them: %s', async (_, first) => {
  const all = values(first)
  const [low, high] = [quantile(all, 0.005), quantile(all, 0.995)]
  const found = await summary(all)
  // As scan.h says: to 1/1024 of what lies between them.
  const tolerance = (high - low) / 1024
  expect(Math.abs(found.robustLow - low)).toBeLessThan(tolerance)
  expect(Math.abs(found.robustHigh - high)).toBeLessThan(tolerance)
  expect(found.nonFinite).toBe(first.filter((value) => !Number.isFinite(value)).length)
})

test('quantiles of a mask coincide, and of a constant', async () => {
  const mask = new Float32Array(count).fill(1, 0, 20)
  expect(await summary(mask)).toMatchObject({ low: 0, high: 1, robustLow: 0, robustHigh: 0, whole: true })
  expect(await summary(mask.fill(7))).toMatchObject({ low: 7, high: 7, robustLow: 7, robustHigh: 7 })
})

test('a window as wide as numbers go leaves voxels between its ends', async () => {
  const data = values([-1.7e308, 1.7e308])
  const out = new Uint16Array(count)
  await addon().quantizeScan(
    { data, offset: 0, strides: [1200, 40, 1], shape, slope: 1, intercept: 0 },
    -1.7e308,
    1.7e308,
    out,
  )
  expect(Math.max(...out)).toBeLessThanOrEqual(65535)
})
