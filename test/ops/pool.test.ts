import { describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine/index.js'
import {
  bfloat16,
  type Call,
  engines,
  integers,
  kept,
  type Plain,
  passedThrough,
  poison,
  relativeError,
  runCalls,
  sameBits,
  uniform,
} from './harness.js'
import {
  avgPool,
  avgPoolGrad,
  globalAvgPool,
  globalAvgPoolGrad,
  maxPool,
  maxPoolGrad,
  pooledShape,
} from './reference-pool.js'

interface Problem {
  name: string
  x: readonly [number, number, number, number, number]
  kernel: readonly [number, number, number]
  stride: readonly [number, number, number]
}

const problems: Problem[] = [
  { name: 'as between two levels', x: [2, 8, 8, 4, 64], kernel: [2, 2, 2], stride: [2, 2, 2] },
  { name: 'odd extents, uneven channels', x: [2, 7, 5, 3, 5], kernel: [2, 2, 2], stride: [2, 2, 2] },
  { name: 'one channel', x: [1, 6, 4, 4, 1], kernel: [2, 2, 2], stride: [2, 2, 2] },
  { name: 'windows that overlap', x: [1, 7, 7, 7, 16], kernel: [3, 3, 3], stride: [2, 2, 2] },
  { name: 'windows with gaps', x: [1, 9, 8, 7, 16], kernel: [1, 2, 1], stride: [2, 3, 1] },
  { name: 'one slice (2-D)', x: [2, 8, 8, 1, 8], kernel: [2, 2, 1], stride: [2, 2, 1] },
  { name: '24 channels', x: [1, 4, 4, 4, 24], kernel: [2, 2, 2], stride: [2, 2, 2] },
]

/** Where the activations of a test lie: dense and persistent, or as a convolution left them. */
const layouts = ['dense', 'as a convolution leaves it']

/** A pooling and its gradient, with x and dy in the layout asked for. */
function calls(layout: string, operation: string, x: Plain, dy: Plain, attributes: Call['attributes']): Call[] {
  const inner = layout !== 'dense'
  const mask = operation === 'max_pool'
  const backward = mask ? { mask: 'mask' } : {}
  return [
    ...(inner ? [poison(1 << 16), passedThrough(x, x.shape, 'inner x'), passedThrough(dy, dy.shape, 'inner dy')] : []),
    {
      operation,
      inputs: { x: inner ? 'inner x' : x },
      outputs: { y: inner ? { name: 'inner y', shape: dy.shape } : dy.shape, ...(mask && { mask: 'opaque' }) },
      ...(attributes && { attributes }),
    },
    {
      operation: `${operation}_grad`,
      inputs: { ...backward, dy: inner ? 'inner dy' : dy },
      outputs: { dx: inner ? { name: 'inner dx', shape: x.shape } : x.shape },
      ...(attributes && { attributes }),
    },
    ...(inner ? [kept('inner y', dy.shape, 'y'), kept('inner dx', x.shape, 'dx')] : []),
  ]
}

describe.each(engines())('on $device', (engine) => {
  describe.each(layouts)('%s', (layout) => {
    test.each(problems)('max pooling and its gradient, exactly: $name', async ({ x: shape, kernel, stride }) => {
      // Whole numbers from -3 to 3: most windows hold equals, of which the first gets the gradient.
      const x = integers(shape, 1)
      const { y, from } = maxPool(x, kernel, stride)
      const dy = integers(y.shape, 2)
      const results = await runCalls(engine, calls(layout, 'max_pool', x, dy, { kernel, stride }))
      expect(results.y!.data).toEqual(y.data)
      expect(results.dx!.data).toEqual(maxPoolGrad(shape, from, dy))
    })

    test.each(problems)('average pooling and its gradient: $name', async ({ x: shape, kernel, stride }) => {
      const x = integers(shape, 1)
      const dy = integers(pooledShape(shape, kernel, stride), 2)
      const results = await runCalls(engine, calls(layout, 'avg_pool', x, dy, { kernel, stride }))
      // Exact sums of at most 27 whole numbers, one division each.
      expect(relativeError(results.y!.data, avgPool(x, kernel, stride).data)).toBeLessThan(2e-7)
      expect(relativeError(results.dx!.data, avgPoolGrad(shape, dy, kernel, stride))).toBeLessThan(4e-7)
    })

    test.each([
      { name: 'the bottleneck', x: [2, 8, 8, 4, 512] },
      { name: 'odd extents, uneven channels', x: [3, 5, 3, 7, 21] },
      { name: 'one channel', x: [1, 3, 3, 3, 1] },
    ])('the mean over all voxels and its gradient: $name', async ({ x: shape }) => {
      const x = uniform(shape, 1)
      const dy = uniform([shape[0]!, shape[4]!], 2)
      const inner = layout !== 'dense'
      const results = await runCalls(engine, [
        ...(inner ? [poison(1 << 18), passedThrough(x, shape, 'inner x')] : []),
        { operation: 'global_avg_pool', inputs: { x: inner ? 'inner x' : x }, outputs: { y: dy.shape } },
        {
          operation: 'global_avg_pool_grad',
          inputs: { dy },
          outputs: { dx: inner ? { name: 'inner dx', shape } : shape },
        },
        ...(inner ? [kept('inner dx', shape, 'dx')] : []),
      ])
      // Sums are float64; what is left is rounding of the results.
      expect(relativeError(results.y!.data, globalAvgPool(x).data)).toBeLessThan(2e-7)
      expect(relativeError(results.dx!.data, globalAvgPoolGrad(shape, dy))).toBeLessThan(2e-7)
    })
  })

  test('max pooling at full size, as after the first level: 64 channels of 64 x 64 x 32', async () => {
    const [kernel, stride] = [[2, 2, 2] as const, [2, 2, 2] as const]
    const x = integers([1, 64, 64, 32, 64], 1)
    const { y, from } = maxPool(x, kernel, stride)
    const dy = integers(y.shape, 2)
    const results = await runCalls(engine, calls(layouts[1]!, 'max_pool', x, dy, { kernel, stride }))
    expect(sameBits(results.y!.data, y.data)).toBe(true)
    expect(sameBits(results.dx!.data, maxPoolGrad(x.shape, from, dy))).toBe(true)
  })

  test('a mask of another pooling is refused', async () => {
    const x = uniform([1, 4, 4, 4, 16], 1)
    const attributes = { kernel: [2, 2, 2], stride: [2, 2, 2] }
    const calls = [
      { operation: 'max_pool', inputs: { x }, outputs: { y: [1, 2, 2, 2, 16], mask: 'opaque' as const }, attributes },
      {
        operation: 'max_pool_grad',
        inputs: { mask: 'mask', dy: uniform([1, 1, 2, 2, 16], 2) },
        outputs: { dx: [1, 2, 4, 4, 16] },
        attributes,
      },
    ]
    await expect(runCalls(engine, calls)).rejects.toThrow(/max_pool_grad was given the mask of another pooling/)
  })

  test('extents that do not fit the windows are refused with both shapes', async () => {
    const x = integers([1, 4, 4, 4, 3], 1)
    const attributes = { kernel: [2, 2, 2], stride: [2, 2, 2] }
    const call = { operation: 'avg_pool', inputs: { x }, outputs: { y: [1, 2, 2, 3, 3] }, attributes }
    await expect(runCalls(engine, [call])).rejects.toThrow(/1 x 4 x 4 x 4 x 3.*1 x 2 x 2 x 3 x 3/)
  })
})

test('any number of threads gives the same mean over all voxels', async () => {
  const x = uniform([2, 9, 8, 7, 40], 1)
  const call = { operation: 'global_avg_pool', inputs: { x }, outputs: { y: [2, 40] } }
  const [one, three] = await Promise.all(
    [1, 3].map((threads) => runCalls(openEngine({ device: 'cpu', threads }), [call])),
  )
  expect(three!.y).toEqual(one!.y)
})

describe.each(engines('bf16'))('in bfloat16, on $device', (engine) => {
  test.each(problems)(
    'pooling chooses exactly and averages with one rounding: $name',
    async ({ x: shape, kernel, stride }) => {
      // Small whole numbers are bfloat16 numbers.
      const x = integers(shape, 1)
      const { y, from } = maxPool(x, kernel, stride)
      const dy = integers(y.shape, 2)
      const largest = await runCalls(engine, calls(layouts[1]!, 'max_pool', x, dy, { kernel, stride }))
      expect(largest.y!.data).toEqual(y.data)
      expect(largest.dx!.data).toEqual(maxPoolGrad(shape, from, dy))
      const mean = await runCalls(engine, calls(layouts[1]!, 'avg_pool', x, dy, { kernel, stride }))
      expect(relativeError(mean.y!.data, avgPool(x, kernel, stride).data)).toBeLessThan(2 ** -8)
      expect(relativeError(mean.dx!.data, avgPoolGrad(shape, dy, kernel, stride))).toBeLessThan(2 ** -8)
    },
  )

  test.each(problems)('the gradient of max pooling and another, added: $name', async ({ x: shape, kernel, stride }) => {
    const x = integers(shape, 1)
    const { y, from } = maxPool(x, kernel, stride)
    const dy = integers(y.shape, 2)
    const other = integers(shape, 3)
    // What a skip's unit gets from the level below and from the decoder.
    const results = await runCalls(engine, [
      passedThrough(other, shape, 'inner other'),
      ...calls(layouts[1]!, 'max_pool', x, dy, { kernel, stride }).filter(
        ({ outputs }) => (outputs.y as { name?: string } | undefined)?.name !== 'dx',
      ),
      {
        operation: 'add',
        inputs: { a: 'inner other', b: 'inner dx' },
        outputs: { y: { name: 'inner sum', shape } },
      },
      kept('inner sum', shape, 'sum'),
    ])
    const gradient = maxPoolGrad(shape, from, dy)
    // Sums of a few small whole numbers are bfloat16 numbers, too.
    expect(results.sum!.data).toEqual(other.data.map((value, i) => value + gradient[i]!))
  })

  test('the mean over all voxels is summed in float64', async () => {
    const x = bfloat16(uniform([2, 8, 8, 4, 48], 1))
    const dy = uniform([2, 48], 2)
    const results = await runCalls(engine, [
      passedThrough(x, x.shape, 'inner'),
      { operation: 'global_avg_pool', inputs: { x: 'inner' }, outputs: { y: dy.shape } },
      { operation: 'global_avg_pool_grad', inputs: { dy }, outputs: { dx: { name: 'slope', shape: x.shape } } },
      kept('slope', x.shape, 'dx'),
    ])
    expect(relativeError(results.y!.data, globalAvgPool(x).data)).toBeLessThan(2e-7)
    expect(relativeError(results.dx!.data, globalAvgPoolGrad(x.shape, dy))).toBeLessThan(2 ** -8)
  })
})
