import { describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine/index.js'
import { engines, integers, type Plain, runCalls, uniform } from './harness.js'

/** Every distance in float64, sorted, ties by lower index. */
function nearest(queries: Plain, points: Plain, k: number): { index: number; distance: number }[] {
  const [count, width] = queries.shape as [number, number]
  const found = []
  for (let q = 0; q < count; q++) {
    const all = Array.from({ length: points.shape[0]! }, (_, p) => {
      let squared = 0
      for (let i = 0; i < width; i++) squared += (queries.data[q * width + i]! - points.data[p * width + i]!) ** 2
      return { index: p, squared }
    })
    all.sort((a, b) => a.squared - b.squared || a.index - b.index)
    found.push(...all.slice(0, k).map(({ index, squared }) => ({ index, distance: Math.sqrt(squared) })))
  }
  return found
}

async function search(engine: Engine, queries: Plain, points: Plain, k: number) {
  const shape = [queries.shape[0]!, k]
  const results = await runCalls(engine, [
    { operation: 'nearest', inputs: { queries, points }, outputs: { indices: shape, distances: shape } },
  ])
  return { indices: [...results.indices!.data], distances: results.distances!.data }
}

const problems = [
  { name: 'latent vectors', queries: 9, points: 40, width: 512, k: 12 },
  { name: 'one of one', queries: 1, points: 1, width: 3, k: 1 },
  { name: 'all, sorted', queries: 3, points: 25, width: 17, k: 25 },
  { name: 'many points, few numbers each', queries: 20, points: 3000, width: 5, k: 30 },
]

describe.each(engines())('on $device', (engine) => {
  test.each(problems)(
    'as a float64 search over everything: $name',
    async ({ queries: count, points: size, width, k }) => {
      const [queries, points] = [uniform([count, width], 1), uniform([size, width], 2)]
      const expected = nearest(queries, points, k)
      const { indices, distances } = await search(engine, queries, points, k)
      expect(indices).toEqual(expected.map(({ index }) => index))
      expect(distances).toEqual(Float32Array.from(expected, ({ distance }) => distance))
    },
  )

  test('ties go to the lower index', async () => {
    // Few whole numbers: nearly every distance occurs many times.
    const [queries, points] = [integers([6, 2], 1), integers([200, 2], 2)]
    const { indices } = await search(engine, queries, points, 50)
    expect(indices).toEqual(nearest(queries, points, 50).map(({ index }) => index))
  })

  test('small distances between large vectors are told apart', async () => {
    // Neighbours differ in the last bits of one number among 256 near 1000: too little for a float32 sum of squares.
    const width = 256
    const ulp = 2 ** -14
    const base = uniform([width], 3).data.map((value) => Math.fround(1000 + value)) as Float32Array
    const points = { shape: [40, width], data: new Float32Array(40 * width) }
    for (let p = 0; p < 40; p++) {
      points.data.set(base, p * width)
      for (let i = 0; i < width; i++) points.data[p * width + i]! += 20
      points.data[p * width + (p % width)]! += ((p * 7) % 40) * ulp
    }
    const queries = { shape: [1, width], data: base }
    const expected = nearest(queries, points, 40)
    expect(new Set(expected.map(({ distance }) => distance)).size).toBe(40)
    expect(new Set(expected.map(({ distance }) => Math.fround(distance ** 2))).size).toBeLessThan(40)
    const { indices, distances } = await search(engine, queries, points, 40)
    expect(indices).toEqual(expected.map(({ index }) => index))
    expect(distances).toEqual(Float32Array.from(expected, ({ distance }) => distance))
  })

  test('numbers whose squares pass float32 keep their order', async () => {
    const points = { shape: [4, 2], data: Float32Array.of(3e25, 0, 1e25, 0, 2e25, 0, 1e25, 1e24) }
    const queries = { shape: [1, 2], data: Float32Array.of(0, 0) }
    expect((await search(engine, queries, points, 4)).indices).toEqual([1, 3, 2, 0])
    expect((await search(engine, queries, points, 2)).indices).toEqual([1, 3])
  })

  test('a vector with NaN is farther than all others', async () => {
    const points = { shape: [3, 2], data: Float32Array.of(Number.NaN, 0, 5, 5, 1, 1) }
    const { indices, distances } = await search(engine, { shape: [1, 2], data: Float32Array.of(0, 0) }, points, 3)
    expect(indices).toEqual([2, 1, 0])
    expect(distances[2]).toBe(Number.POSITIVE_INFINITY)
  })

  test('more neighbours than points are refused', async () => {
    await expect(search(engine, uniform([2, 3], 1), uniform([4, 3], 2), 5)).rejects.toThrow(
      /2 x 5 neighbours of queries 2 x 3 among points 4 x 3/,
    )
  })
})

test('any number of threads finds the same', async () => {
  const [queries, points] = [uniform([13, 24], 1), uniform([500, 24], 2)]
  const [one, two, five] = await Promise.all(
    [1, 2, 5].map((threads) => search(openEngine({ device: 'cpu', threads }), queries, points, 20)),
  )
  expect(two).toEqual(one)
  expect(five).toEqual(one)
})
