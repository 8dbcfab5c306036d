import { describe, expect, test } from 'vitest'
import { type Call, engines, integers, runCalls } from './harness.js'
import { conv3d, conv3dGrad, convTranspose3d, convTranspose3dGrad } from './reference.js'

interface Problem {
  name: string
  input: readonly [number, number, number, number, number]
  skip?: number
  out: number
  kernel: readonly [number, number, number]
  stride: readonly [number, number, number]
  padding: readonly [number, number, number]
}

/** Odd extents, strides, kernels 1 to 7, one channel, uneven channels, two inputs, and layers like the network's own. */
const problems: Problem[] = [
  { name: '1x1x1 volume', input: [1, 1, 1, 1, 3], out: 2, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { name: 'first layer', input: [2, 8, 8, 4, 1], out: 32, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { name: 'few channels', input: [2, 5, 3, 7, 3], out: 16, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { name: 'inner layer', input: [2, 6, 4, 4, 32], out: 64, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { name: 'odd extents', input: [1, 7, 5, 3, 16], out: 16, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  {
    name: 'uneven channels',
    input: [2, 5, 6, 7, 5],
    out: 11,
    kernel: [3, 3, 3],
    stride: [1, 1, 1],
    padding: [1, 1, 1],
  },
  {
    name: 'two inputs',
    input: [2, 6, 6, 4, 32],
    skip: 16,
    out: 16,
    kernel: [3, 3, 3],
    stride: [1, 1, 1],
    padding: [1, 1, 1],
  },
  {
    name: 'two uneven inputs',
    input: [1, 4, 3, 5, 6],
    skip: 3,
    out: 7,
    kernel: [3, 3, 3],
    stride: [1, 1, 1],
    padding: [1, 1, 1],
  },
  { name: 'last layer', input: [2, 6, 6, 4, 64], out: 1, kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0] },
  { name: 'stride 2', input: [1, 9, 8, 7, 8], out: 16, kernel: [3, 3, 3], stride: [2, 2, 2], padding: [1, 1, 1] },
  { name: 'kernel 7', input: [1, 9, 9, 8, 2], out: 3, kernel: [7, 7, 7], stride: [2, 2, 1], padding: [3, 3, 3] },
  {
    name: 'kernel 5, uneven',
    input: [1, 8, 6, 6, 4],
    out: 4,
    kernel: [5, 3, 1],
    stride: [1, 2, 1],
    padding: [2, 0, 0],
  },
  { name: 'stride 3', input: [1, 8, 7, 9, 4], out: 5, kernel: [3, 5, 2], stride: [3, 3, 3], padding: [1, 2, 1] },
  { name: 'one slice (2-D)', input: [2, 9, 9, 1, 8], out: 8, kernel: [3, 3, 1], stride: [1, 1, 1], padding: [1, 1, 0] },
]

const transposed: Problem[] = [
  { name: 'k2 s2', input: [2, 3, 4, 2, 32], out: 16, kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0] },
  { name: 'wide k2 s2', input: [1, 2, 5, 3, 16], out: 48, kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0] },
  { name: 'k4 s2 p1', input: [1, 3, 2, 4, 16], out: 16, kernel: [4, 4, 4], stride: [2, 2, 2], padding: [1, 1, 1] },
  { name: 'uneven channels', input: [1, 3, 3, 3, 5], out: 3, kernel: [3, 3, 3], stride: [2, 1, 2], padding: [1, 1, 1] },
]

// Small whole numbers are exact in tf32 too.
describe.each([...engines(), ...engines('tf32')])('on $device in $precision', (engine) => {
  // Small whole numbers: every sum is exact in float32, so equality is asked for.
  test.each(problems)('convolution and its gradient, exactly: $name', async (problem) => {
    const { input, kernel, out } = problem
    const attributes = { stride: problem.stride, padding: problem.padding }
    const x = integers(input, 1)
    const skip = problem.skip ? integers([...input.slice(0, 4), problem.skip], 2) : undefined
    const weight = integers([out, input[4] + (problem.skip ?? 0), ...kernel], 3)
    const bias = integers([out], 4)
    const expected = conv3d(x, skip, weight, bias, problem.stride, problem.padding)
    const dy = integers(expected.shape, 5)
    const gradients = conv3dGrad(x, skip, weight, dy, problem.stride, problem.padding)
    const inputs = { x, ...(skip && { skip }), weight }
    const calls: Call[] = [
      { operation: 'conv3d', inputs: { ...inputs, bias }, outputs: { y: expected.shape }, attributes },
      {
        operation: 'conv3d_grad',
        inputs: { ...inputs, dy },
        outputs: { dx: x.shape, ...(skip && { dskip: skip.shape }), dweight: weight.shape, dbias: bias.shape },
        attributes,
      },
    ]
    const results = await runCalls(engine, calls)
    expect(expected.data.some((value) => value !== 0)).toBe(true)
    expect(results.y!.data).toEqual(expected.data)
    for (const [role, value] of Object.entries(gradients)) expect(results[role]!.data, role).toEqual(value.data)
  })

  test.each(transposed)('transposed convolution and its gradient, exactly: $name', async (problem) => {
    const { input, kernel, out } = problem
    const attributes = { stride: problem.stride, padding: problem.padding }
    const x = integers(input, 1)
    const weight = integers([input[4], out, ...kernel], 3)
    const bias = integers([out], 4)
    const expected = convTranspose3d(x, weight, bias, problem.stride, problem.padding)
    const dy = integers(expected.shape, 5)
    const gradients = convTranspose3dGrad(x, weight, dy, problem.stride, problem.padding)
    const results = await runCalls(engine, [
      { operation: 'conv_transpose3d', inputs: { x, weight, bias }, outputs: { y: expected.shape }, attributes },
      {
        operation: 'conv_transpose3d_grad',
        inputs: { x, weight, dy },
        outputs: { dx: x.shape, dweight: weight.shape, dbias: bias.shape },
        attributes,
      },
    ])
    expect(results.y!.data).toEqual(expected.data)
    for (const [role, value] of Object.entries(gradients)) expect(results[role]!.data, role).toEqual(value.data)
  })

  test('weights that do not fit are refused with both sizes', async () => {
    const call = {
      operation: 'conv3d',
      inputs: { x: integers([1, 4, 4, 4, 3], 1), weight: integers([2, 3, 3, 3, 3], 2) },
      outputs: { y: [1, 9, 4, 4, 2] },
      attributes: { stride: [1, 1, 1], padding: [1, 1, 1] },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow(/3 x 3 x 3.*4 x 4 x 4.*9 x 4 x 4/)
  })

  test.each([
    ['more channels than weights have', [1, 8, 8, 8, 32], [32, 16, 3, 3, 3], [1, 8, 8, 8, 32]],
    ['fewer channels than weights have', [1, 8, 8, 8, 32], [32, 64, 3, 3, 3], [1, 8, 8, 8, 32]],
    ['other channels than weights give', [1, 8, 8, 8, 32], [16, 32, 3, 3, 3], [1, 8, 8, 8, 32]],
    ['another batch than is written', [2, 8, 8, 8, 32], [32, 32, 3, 3, 3], [1, 8, 8, 8, 32]],
  ])('%s are refused before anything is computed', async (_, x, weight, y) => {
    const call = {
      operation: 'conv3d',
      inputs: { x: integers(x, 1), weight: integers(weight, 2) },
      outputs: { y },
      attributes: { stride: [1, 1, 1], padding: [1, 1, 1] },
    }
    await expect(runCalls(engine, [call])).rejects.toMatchObject({ code: 'NATIVE' })
  })

  test('weights of more channels than x and skip have are refused', async () => {
    const call = {
      operation: 'conv3d',
      inputs: {
        x: integers([1, 4, 4, 4, 5], 1),
        skip: integers([1, 4, 4, 4, 3], 2),
        weight: integers([2, 9, 3, 3, 3], 3),
      },
      outputs: { y: [1, 4, 4, 4, 2] },
      attributes: { stride: [1, 1, 1], padding: [1, 1, 1] },
    }
    await expect(runCalls(engine, [call])).rejects.toMatchObject({ code: 'NATIVE' })
  })

  test('a bias of another size, and strides that are none, are refused', async () => {
    const call = {
      operation: 'conv3d',
      inputs: { x: integers([1, 4, 4, 4, 3], 1), weight: integers([2, 3, 3, 3, 3], 2), bias: integers([1], 3) },
      outputs: { y: [1, 4, 4, 4, 2] },
      attributes: { stride: [1, 1, 1], padding: [1, 1, 1] },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow(/tensor of 1 was expected to hold 2/)
    for (const stride of [
      [0, 1, 1],
      [1, 1],
    ]) {
      const other = { ...call, attributes: { ...call.attributes, stride } }
      await expect(runCalls(engine, [other])).rejects.toThrow(/conv3d takes three strides from 1/)
    }
  })
})
