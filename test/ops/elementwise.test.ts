import { describe, expect, test } from 'vitest'
import {
  bfloat16,
  engines,
  integers,
  kept,
  type Plain,
  passedThrough,
  poison,
  relativeError,
  runCalls,
  uniform,
} from './harness.js'
import { conv3d } from './reference.js'
import { linear, linearGrad, sigmoid, sigmoidGrad } from './reference-elementwise.js'

const volume = [2, 5, 3, 4, 11]

function scaled(value: Plain, factor: number): Plain {
  return { ...value, data: value.data.map((one) => one * factor) as Float32Array }
}

describe.each(engines())('on $device', (engine) => {
  test.each([{ shape: volume }, { shape: [2, 8, 8, 4, 1] }, { shape: [3, 7] }])(
    'sigmoid and its gradient: $shape',
    async ({ shape }) => {
      // Out to where the sigmoid is 0 and 1 in float32.
      const x = scaled(uniform(shape, 1), 200)
      const dy = uniform(shape, 2)
      const results = await runCalls(engine, [
        { operation: 'sigmoid', inputs: { x }, outputs: { y: shape } },
        { operation: 'sigmoid_grad', inputs: { y: 'y', dy }, outputs: { dx: shape } },
      ])
      // One float32 exponential and a division.
      expect(relativeError(results.y!.data, sigmoid(x))).toBeLessThan(3e-7)
      expect(relativeError(results.dx!.data, sigmoidGrad(results.y!.data, dy))).toBeLessThan(2e-7)
    },
  )

  test('the sigmoid of a padded layout leaves zeros where a convolution expects them', async () => {
    const x = uniform(volume, 1)
    const weight = uniform([4, 11, 3, 3, 3], 2)
    const attributes = { stride: [1, 1, 1], padding: [1, 1, 1] }
    const results = await runCalls(engine, [
      poison(1 << 16),
      passedThrough(x, volume, 'inner'),
      { operation: 'sigmoid', inputs: { x: 'inner' }, outputs: { y: { name: 'probability', shape: volume } } },
      { operation: 'conv3d', inputs: { x: 'probability', weight }, outputs: { y: [2, 5, 3, 4, 4] }, attributes },
    ])
    const probability = { shape: volume, data: sigmoid(x) }
    const expected = conv3d(probability, undefined, weight, undefined, [1, 1, 1], [1, 1, 1])
    // float32 sums of 297 products.
    expect(relativeError(results.y!.data, expected.data)).toBeLessThan(3e-6)
  })

  test('sums, whatever the layouts of the two', async () => {
    const [a, b] = [integers(volume, 1), integers(volume, 2)]
    const expected = a.data.map((value, i) => value + b.data[i]!)
    const results = await runCalls(engine, [
      passedThrough(a, volume, 'inner'),
      { operation: 'add', inputs: { a, b }, outputs: { y: { name: 'dense + dense', shape: volume, kept: true } } },
      { operation: 'add', inputs: { a: 'inner', b }, outputs: { y: { name: 'one', shape: volume } } },
      { operation: 'add', inputs: { a: b, b: 'inner' }, outputs: { y: { name: 'other', shape: volume } } },
      { operation: 'add', inputs: { a: 'inner', b: 'inner' }, outputs: { y: { name: 'twice', shape: volume } } },
      ...['one', 'other', 'twice'].map((name) => kept(name, volume, `kept ${name}`)),
    ])
    expect(results['dense + dense']!.data).toEqual(expected)
    expect(results['kept one']!.data).toEqual(expected)
    expect(results['kept twice']!.data).toEqual(a.data.map((value) => 2 * value))
  })

  test.each([
    { name: 'the head', rows: 4, width: 1024, out: 44 },
    { name: 'uneven', rows: 3, width: 13, out: 7 },
    { name: 'one row, one output', rows: 1, width: 5, out: 1 },
  ])('the linear layer and its gradient, exactly: $name', async ({ rows, width, out }) => {
    const [x, weight, bias] = [integers([rows, width], 1), integers([out, width], 2), integers([out], 3)]
    const dy = integers([rows, out], 4)
    const results = await runCalls(engine, [
      { operation: 'linear', inputs: { x, weight, bias }, outputs: { y: dy.shape } },
      {
        operation: 'linear_grad',
        inputs: { x, weight, dy },
        outputs: { dx: x.shape, dweight: weight.shape, dbias: bias.shape },
      },
    ])
    expect(results.y!.data).toEqual(linear(x, weight, bias).data)
    for (const [role, data] of Object.entries(linearGrad(x, weight, dy)))
      expect(results[role]!.data, role).toEqual(data)
  })

  test('shapes that differ are refused with both', async () => {
    const call = {
      operation: 'add',
      inputs: { a: integers([2, 3], 1), b: integers([3, 2], 2) },
      outputs: { y: [2, 3] },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow(/add takes "b" of 2 x 3 here, not of 3 x 2/)
  })
})

describe.each(engines('bf16'))('in bfloat16, on $device', (engine) => {
  test('a cast rounds to nearest, ties to even, there and back', async () => {
    const x = uniform(volume, 1)
    const results = await runCalls(engine, [
      { operation: 'cast', inputs: { x }, outputs: { y: { name: 'half', shape: volume } } },
      kept('half', volume, 'back'),
    ])
    expect(results.back!.data).toEqual(bfloat16(x).data)
  })

  test('sigmoid, sum and linear layer are as good as their rounded inputs and outputs allow', async () => {
    const [x, other] = [uniform([4, 32], 1), uniform([4, 32], 2)]
    const [weight, bias, dy] = [uniform([6, 32], 3), uniform([6], 4), uniform([4, 6], 5)]
    const half = (value: Plain, name: string) => ({
      operation: 'cast',
      inputs: { x: { ...value, name: `${name} f32` } },
      outputs: { y: { name, shape: value.shape } },
    })
    const results = await runCalls(engine, [
      half(x, 'a'),
      half(other, 'b'),
      half(dy, 'd'),
      { operation: 'sigmoid', inputs: { x: 'a' }, outputs: { y: { name: 's', shape: x.shape } } },
      { operation: 'add', inputs: { a: 'a', b: 'b' }, outputs: { y: { name: 't', shape: x.shape } } },
      { operation: 'linear', inputs: { x: 'a', weight, bias }, outputs: { y: { name: 'l', shape: dy.shape } } },
      {
        operation: 'linear_grad',
        inputs: { x: 'a', weight, dy: 'd' },
        outputs: { dx: { name: 'g', shape: x.shape }, dweight: weight.shape, dbias: bias.shape },
      },
      kept('s', x.shape, 'sigmoid'),
      kept('t', x.shape, 'sum'),
      kept('l', dy.shape, 'linear'),
      kept('g', x.shape, 'dx'),
    ])
    // Rounded once to 8 significant bits, from inputs that were: half a unit in the last place is at most 2^-8 of a value.
    const [a, b, d] = [bfloat16(x), bfloat16(other), bfloat16(dy)]
    const unit = 2 ** -8
    expect(relativeError(results.sigmoid!.data, sigmoid(a))).toBeLessThan(unit)
    expect(
      relativeError(
        results.sum!.data,
        a.data.map((value, i) => value + b.data[i]!),
      ),
    ).toBeLessThan(unit)
    expect(relativeError(results.linear!.data, linear(a, weight, bias).data)).toBeLessThan(unit)
    const gradients = linearGrad(a, weight, d)
    expect(relativeError(results.dx!.data, gradients.dx)).toBeLessThan(unit)
    // Gradients of parameters are float32.
    expect(relativeError(results.dweight!.data, gradients.dweight)).toBeLessThan(1e-6)
    expect(relativeError(results.dbias!.data, gradients.dbias)).toBeLessThan(1e-6)
  })
})
