import { expect, test } from 'vitest'
import { NeighbourLists, nearestScans, nearestSummary } from '../../src/discovery/neighbours.js'
import { openEngine } from '../../src/engine/index.js'
import { Random } from '../../src/random.js'

const engine = openEngine({ device: 'cpu', threads: 1 })
const width = 48

function latents(count: number, seed: number) {
  const random = new Random(seed, 'test/latents')
  return { values: Float32Array.from({ length: count * width }, () => random.uniform(-1, 1)), width }
}

/** Every distance, in float64, sorted. */
function bruteForce(query: Float32Array, values: Float32Array) {
  return Array.from({ length: values.length / width }, (_, index) => {
    let sum = 0
    for (let i = 0; i < width; i++) sum += (query[i]! - values[index * width + i]!) ** 2
    return { index, distance: Math.sqrt(sum) }
  }).sort((a, b) => a.distance - b.distance || a.index - b.index)
}

test('neighbours in other scans are those of every distance sorted', async () => {
  const from = latents(5, 1)
  const among = latents(40, 2)
  const found = await nearestScans(engine, from, [4, 0], among, 7)
  for (const [row, query] of [4, 0].entries()) {
    const expected = bruteForce(from.values.subarray(query * width, (query + 1) * width), among.values).slice(0, 7)
    expect(found[row]!.map(({ index }) => index)).toEqual(expected.map(({ index }) => index))
    for (const [i, { distance }] of found[row]!.entries()) expect(distance).toBeCloseTo(expected[i]!.distance, 5)
  }
})

test('among themselves, scans come first, even beside a twin of a lower number', async () => {
  const among = latents(12, 3)
  // Scan 9 is a copy of scan 2.
  among.values.copyWithin(9 * width, 2 * width, 3 * width)
  const [ninth, second] = await nearestScans(engine, among, [9, 2], among, 20)
  expect(ninth).toHaveLength(12)
  expect(ninth!.slice(0, 2)).toEqual([
    { index: 9, distance: 0 },
    { index: 2, distance: 0 },
  ])
  expect(second!.slice(0, 2).map(({ index }) => index)).toEqual([2, 9])
})

test('lists made when they are asked for are those of all scans at once', async () => {
  const among = latents(90, 5)
  const all = await nearestScans(engine, among, [...Array(90).keys()], among, 9)
  const lists = new NeighbourLists(engine, among, 9)
  const order = new Random(6, 'test/order').permutation(90)
  for (const [at, scan] of order.entries()) expect(await lists.of(scan, order.subarray(at + 1))).toEqual(all[scan])
  expect(await lists.of(order[0]!)).toEqual(all[order[0]!])
})

test('nothing is near when there are no scans', async () => {
  expect(await nearestScans(engine, latents(2, 1), [0, 1], { values: new Float32Array(), width }, 4)).toEqual([[], []])
})

test('the summary leaves out the scan itself and names the others', async () => {
  const among = latents(9, 4)
  const ids = Array.from({ length: 9 }, (_, i) => `s${i}`)
  const summary = await nearestSummary(engine, among, ids, [3, 3, 1])
  expect(summary.map(({ scan }) => scan)).toEqual(['s3', 's1'])
  const expected = bruteForce(among.values.subarray(3 * width, 4 * width), among.values).slice(1, 6)
  expect(summary[0]!.neighbours.map(({ scan }) => scan)).toEqual(expected.map(({ index }) => `s${index}`))
})
