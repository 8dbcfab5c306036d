import { describe, expect, test } from 'vitest'
import {
  bfloat16,
  type Call,
  engines,
  kept,
  type Plain,
  passedThrough,
  poison,
  relativeError,
  runCalls,
  uniform,
} from './harness.js'
import { resize, resizeGrad } from './reference-resize.js'

const problems = [
  { name: 'doubled, as in a decoder', x: [2, 4, 4, 2, 32], y: [8, 8, 4] },
  { name: 'doubled, one channel', x: [1, 3, 5, 4, 1], y: [6, 10, 8] },
  { name: 'uneven factors and channels', x: [2, 5, 3, 4, 7], y: [7, 8, 5] },
  { name: 'smaller', x: [1, 9, 8, 6, 16], y: [4, 5, 3] },
  { name: 'larger along one axis, smaller along another', x: [1, 4, 9, 5, 3], y: [11, 4, 5] },
  { name: 'one slice', x: [1, 4, 4, 1, 8], y: [8, 8, 1] },
  { name: 'to one voxel', x: [1, 3, 4, 2, 5], y: [1, 1, 1] },
]

/** resize of `x`, and resize_grad of `dy`, both as a convolution left them. */
function inside(x: Plain, dy: Plain, method: string): Call[] {
  return [
    poison(1 << 16),
    passedThrough(x, x.shape, 'inner x'),
    passedThrough(dy, dy.shape, 'inner dy'),
    {
      operation: 'resize',
      inputs: { x: 'inner x' },
      outputs: { y: { name: 'inner y', shape: dy.shape } },
      attributes: { method },
    },
    {
      operation: 'resize_grad',
      inputs: { dy: 'inner dy' },
      outputs: { dx: { name: 'inner dx', shape: x.shape } },
      attributes: { method },
    },
    kept('inner y', dy.shape, 'y'),
    kept('inner dx', x.shape, 'dx'),
  ]
}

describe.each(engines())('on $device', (engine) => {
  describe.each(['nearest', 'linear'])('%s', (method) => {
    test.each(problems)('resizing and its gradient: $name', async ({ x: from, y: extents }) => {
      const shape = [from[0]!, ...extents, from[4]!]
      const [x, dy] = [uniform(from, 1), uniform(shape, 2)]
      const [y, dx] = [resize(method, x, shape), resizeGrad(method, from, dy)]
      const dense = await runCalls(engine, [
        { operation: 'resize', inputs: { x }, outputs: { y: shape }, attributes: { method } },
        { operation: 'resize_grad', inputs: { dy }, outputs: { dx: from }, attributes: { method } },
      ])
      // Weights in float32, up to 8 terms forward, and back as many as the factor.
      const tolerance = 2e-6
      const padded = await runCalls(engine, inside(x, dy, method))
      for (const results of [dense, padded]) {
        expect(relativeError(results.y!.data, y)).toBeLessThan(tolerance)
        expect(relativeError(results.dx!.data, dx)).toBeLessThan(tolerance)
      }
    })
  })

  test('an unknown method, and channels that change, are refused', async () => {
    const x = uniform([1, 2, 2, 2, 3], 1)
    const call = {
      operation: 'resize',
      inputs: { x },
      outputs: { y: [1, 4, 4, 4, 3] },
      attributes: { method: 'cubic' },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow(/method "nearest" or "linear", not "cubic"/)
    const other = { ...call, outputs: { y: [1, 4, 4, 4, 2] }, attributes: { method: 'linear' } }
    await expect(runCalls(engine, [other])).rejects.toThrow(/resize takes "y" of 1 x 4 x 4 x 4 x 3 here/)
  })
})

describe.each(engines('bf16'))('in bfloat16, on $device', (engine) => {
  test.each(['nearest', 'linear'])('%s resizing rounds once', async (method) => {
    const [x, dy] = [bfloat16(uniform([2, 5, 3, 4, 7], 1)), bfloat16(uniform([2, 7, 8, 5, 7], 2))]
    const results = await runCalls(engine, inside(x, dy, method))
    // Half a unit in the last place of 8 bits, and float32 weights.
    expect(relativeError(results.y!.data, resize(method, x, dy.shape))).toBeLessThan(2 ** -8 + 2e-6)
    expect(relativeError(results.dx!.data, resizeGrad(method, x.shape, dy))).toBeLessThan(2 ** -8 + 2e-6)
  })
})
