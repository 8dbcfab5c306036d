import { describe, expect, test } from 'vitest'
import { bfloat16, type Call, engines, integers, kept, type Plain, runCalls, uniform } from './harness.js'
import { conv3d, conv3dGrad, convTranspose3d, convTranspose3dGrad } from './reference.js'
import { normRelu } from './reference-norm.js'

// The CUDA engine's own paths; oneDNN rounds between the two inputs of a convolution.
const [opened] = engines('bf16').filter(({ device }) => device !== 'cpu')
if (!opened) console.warn('Skipped: neither the sim nor the cuda engine is built here.')

type Triple = readonly [number, number, number]
interface Problem {
  name: string
  input: readonly [number, number, number, number, number]
  skip?: number
  out: number
  kernel: Triple
  stride: Triple
  padding: Triple
}
const dense = { kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] } as const

/** One a way of computing: see cuda/conv3d. */
const problems: Problem[] = [
  { name: 'first layer', input: [2, 8, 8, 4, 1], out: 32, ...dense },
  { name: 'uneven channels', input: [1, 5, 6, 7, 5], out: 11, ...dense },
  { name: 'bricks of 512 points by 64 channels', input: [1, 8, 8, 8, 32], out: 64, ...dense },
  { name: 'bricks of 256 points by 128 channels, 4 slices', input: [1, 8, 8, 4, 32], out: 128, ...dense },
  { name: 'bricks that reach over the border, two inputs', input: [1, 9, 7, 6, 64], skip: 32, out: 48, ...dense },
  { name: 'half steps of channels', input: [1, 6, 6, 4, 48], out: 16, ...dense },
  { name: 'last layer', input: [2, 6, 6, 4, 64], out: 1, kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0] },
  { name: 'stride 2', input: [1, 9, 8, 7, 32], out: 40, kernel: [3, 3, 3], stride: [2, 2, 2], padding: [1, 1, 1] },
]

const transposed: Problem[] = [
  { name: 'k2 s2', input: [2, 3, 4, 2, 32], out: 16, kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0] },
  { name: 'k4 s2 p1', input: [1, 8, 8, 8, 32], out: 64, kernel: [4, 4, 4], stride: [2, 2, 2], padding: [1, 1, 1] },
]

/** Casts a dense tensor to a bfloat16 activation of this name. */
function cast(name: string, value: Plain): Call {
  const x = { ...value, name: `${name}.dense` }
  return { operation: 'cast', inputs: { x }, outputs: { y: { name, shape: value.shape } } }
}

/** The root mean square of the differences, as a share of that of the expected values. */
function error(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let squares = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    squares += (actual[i]! - expected[i]!) ** 2
    size += expected[i]! ** 2
  }
  return actual.length === expected.length ? Math.sqrt(squares / size) : Number.POSITIVE_INFINITY
}

describe.skipIf(!opened)(`bfloat16 on ${opened?.device}`, () => {
  // Small whole numbers and float32 sums: what is stored is the exact sum, rounded once.
  test.each(problems)('convolution and its gradient, exactly: $name', async (problem) => {
    const { input, kernel, out } = problem
    const attributes = { stride: problem.stride, padding: problem.padding }
    const x = integers(input, 1)
    const skip = problem.skip ? integers([...input.slice(0, 4), problem.skip], 2) : undefined
    const weight = integers([out, input[4] + (problem.skip ?? 0), ...kernel], 3)
    const bias = integers([out], 4)
    const y = conv3d(x, skip, weight, bias, problem.stride, problem.padding)
    const dy = integers(y.shape, 5)
    const gradients = conv3dGrad(x, skip, weight, dy, problem.stride, problem.padding)
    const inputs = { x: 'xh', ...(skip && { skip: 'skiph' }), weight }
    const results = await runCalls(opened!, [
      cast('xh', x),
      ...(skip ? [cast('skiph', skip)] : []),
      cast('dyh', dy),
      { operation: 'conv3d', inputs: { ...inputs, bias }, outputs: { y: { name: 'yh', shape: y.shape } }, attributes },
      kept('yh', y.shape, 'y'),
      {
        operation: 'conv3d_grad',
        inputs: { ...inputs, dy: 'dyh' },
        outputs: {
          dx: { name: 'dxh', shape: x.shape },
          ...(skip && { dskip: { name: 'dskiph', shape: skip.shape } }),
          dweight: weight.shape,
          dbias: bias.shape,
        },
        attributes,
      },
      kept('dxh', x.shape, 'dx'),
      ...(skip ? [kept('dskiph', skip.shape, 'dskip')] : []),
    ])
    expect(results.y!.data).toEqual(bfloat16(y).data)
    expect(results.dx!.data).toEqual(bfloat16(gradients.dx!).data)
    if (skip) expect(results.dskip!.data).toEqual(bfloat16(gradients.dskip!).data)
    expect(results.dweight!.data).toEqual(gradients.dweight!.data)
    expect(results.dbias!.data).toEqual(gradients.dbias!.data)
  })

  test.each(transposed)('transposed convolution and its gradient, exactly: $name', async (problem) => {
    const { input, kernel, out } = problem
    const attributes = { stride: problem.stride, padding: problem.padding }
    const x = integers(input, 1)
    const weight = integers([input[4], out, ...kernel], 3)
    const bias = integers([out], 4)
    const y = convTranspose3d(x, weight, bias, problem.stride, problem.padding)
    const dy = integers(y.shape, 5)
    const gradients = convTranspose3dGrad(x, weight, dy, problem.stride, problem.padding)
    const results = await runCalls(opened!, [
      cast('xh', x),
      cast('dyh', dy),
      {
        operation: 'conv_transpose3d',
        inputs: { x: 'xh', weight, bias },
        outputs: { y: { name: 'yh', shape: y.shape } },
        attributes,
      },
      kept('yh', y.shape, 'y'),
      {
        operation: 'conv_transpose3d_grad',
        inputs: { x: 'xh', weight, dy: 'dyh' },
        outputs: { dx: { name: 'dxh', shape: x.shape }, dweight: weight.shape, dbias: bias.shape },
        attributes,
      },
      kept('dxh', x.shape, 'dx'),
    ])
    expect(results.y!.data).toEqual(bfloat16(y).data)
    expect(results.dx!.data).toEqual(bfloat16(gradients.dx!).data)
    expect(results.dweight!.data).toEqual(gradients.dweight!.data)
    expect(results.dbias!.data).toEqual(gradients.dbias!.data)
  })

  // z, y and dz are rounded to 8 bits each: 2^-9 of their size at most.
  const tolerance = 2 ** -7
  // Rounding takes about one value in 2^9 to the other side of ReLU's zero, and there a whole dy is missed or added:
  // a root mean square of sqrt(2^-9), 2^-4.5, of the gradient of z, and so of what it is multiplied into.
  const gradientTolerance = 2 ** -4
  const common = { statistics: 'batch', epsilon: 1e-5 }
  const parameters = (channels: number) => ({
    bias: uniform([channels], 11),
    gamma: uniform([channels], 12),
    beta: uniform([channels], 13),
    running_mean: uniform([channels], 14),
    running_variance: { shape: [channels], data: new Float32Array(channels).fill(1) },
  })
  const stand: Plain = { shape: [1], data: new Float32Array(1) }

  test.each([
    { name: 'bricks', shape: [2, 8, 8, 8], x: 32, out: 64 },
    { name: 'tiles that reach over the last point', shape: [1, 5, 6, 7], x: 16, out: 24 },
  ])('the conv unit, with statistics from the epilogue: $name', async ({ shape, x: channels, out }) => {
    const x = bfloat16(uniform([...shape, channels], 1))
    const weight = bfloat16(uniform([out, channels, 3, 3, 3], 3))
    const p = parameters(out)
    const z = conv3d(x, undefined, weight, p.bias, [1, 1, 1], [1, 1, 1])
    const norm = normRelu(z, p.gamma, p.beta, 1e-5)
    const dy = bfloat16(uniform(z.shape, 4))
    const { dz, dgamma, dbeta } = norm.backward(dy)
    const gradients = conv3dGrad(x, undefined, weight, dz, [1, 1, 1], [1, 1, 1])
    const attributes = { stride: [1, 1, 1], padding: [1, 1, 1], ...common }
    const results = await runCalls(opened!, [
      cast('xh', x),
      cast('dyh', dy),
      {
        operation: 'conv_unit',
        inputs: { x: 'xh', weight, ...p },
        outputs: {
          y: { name: 'yh', shape: z.shape },
          z: { name: 'z', shape: z.shape },
          mean: [out],
          variance: [out],
          mask: 'opaque',
        },
        attributes: { ...attributes, momentum: 0.1, update: true },
      },
      kept('yh', z.shape, 'y'),
      {
        operation: 'conv_unit_grad',
        inputs: {
          x: 'xh',
          weight,
          gamma: p.gamma,
          beta: p.beta,
          z: 'z',
          ...{ mean: stand, variance: stand, mask: stand },
          dy: 'dyh',
        },
        outputs: {
          dx: { name: 'dxh', shape: x.shape },
          dweight: weight.shape,
          dbias: [out],
          dgamma: [out],
          dbeta: [out],
        },
        attributes,
      },
      kept('dxh', x.shape, 'dx'),
    ])
    const mean = norm.mean.map((value, c) => value - p.bias.data[c]!)
    expect(error(results.mean!.data, mean)).toBeLessThan(tolerance)
    expect(error(results.variance!.data, norm.variance)).toBeLessThan(tolerance)
    expect(error(results.y!.data, norm.y.data)).toBeLessThan(tolerance)
    expect(error(results.dx!.data, gradients.dx!.data)).toBeLessThan(gradientTolerance)
    expect(error(results.dweight!.data, gradients.dweight!.data)).toBeLessThan(gradientTolerance)
    expect(error(results.dgamma!.data, dgamma)).toBeLessThan(gradientTolerance)
    expect(error(results.dbeta!.data, dbeta)).toBeLessThan(gradientTolerance)
  })

  test.each(['two-step', 'composed'])("the decoder's unit, %s", async (decoder) => {
    // More than 32 channels: their bias is summed in runs of so many.
    const [channels, beside, out] = [64, 32, 32]
    const x = bfloat16(uniform([1, 4, 4, 4, channels], 1))
    const skip = bfloat16(uniform([1, 8, 8, 8, beside], 2))
    const up_weight = uniform([channels, channels, 2, 2, 2], 5)
    const up_bias = uniform([channels], 6)
    const weight = uniform([out, channels + beside, 3, 3, 3], 3)
    const p = parameters(out)
    const up = convTranspose3d(x, up_weight, up_bias, [2, 2, 2], [0, 0, 0])
    const z = conv3d(up, skip, weight, p.bias, [1, 1, 1], [1, 1, 1])
    const norm = normRelu(z, p.gamma, p.beta, 1e-5)
    const dy = bfloat16(uniform(z.shape, 4))
    const { dz } = norm.backward(dy)
    const outer = conv3dGrad(up, skip, weight, dz, [1, 1, 1], [1, 1, 1])
    const inner = convTranspose3dGrad(x, up_weight, outer.dx!, [2, 2, 2], [0, 0, 0])
    const inputs = { x: 'xh', skip: 'skiph', up_weight, up_bias, weight }
    const results = await runCalls(opened!, [
      cast('xh', x),
      cast('skiph', skip),
      cast('dyh', dy),
      {
        operation: 'up_unit',
        inputs: { ...inputs, ...p },
        outputs: {
          y: { name: 'yh', shape: z.shape },
          z: { name: 'z', shape: z.shape },
          up: { name: 'up', shape: up.shape },
          mean: [out],
          variance: [out],
          mask: 'opaque',
        },
        attributes: { ...common, momentum: 0.1, update: true, decoder },
      },
      kept('yh', z.shape, 'y'),
      {
        operation: 'up_unit_grad',
        inputs: {
          ...inputs,
          gamma: p.gamma,
          beta: p.beta,
          z: 'z',
          up: 'up',
          ...{ mean: stand, variance: stand, mask: stand },
          dy: 'dyh',
        },
        outputs: {
          dx: { name: 'dxh', shape: x.shape },
          dskip: { name: 'dskiph', shape: skip.shape },
          dup_weight: up_weight.shape,
          dup_bias: [channels],
          dweight: weight.shape,
          dbias: [out],
          dgamma: [out],
          dbeta: [out],
        },
        attributes: { ...common, decoder },
      },
      kept('dxh', x.shape, 'dx'),
      kept('dskiph', skip.shape, 'dskip'),
    ])
    expect(error(results.y!.data, norm.y.data)).toBeLessThan(tolerance)
    expect(error(results.dx!.data, inner.dx!.data)).toBeLessThan(gradientTolerance)
    expect(error(results.dskip!.data, outer.dskip!.data)).toBeLessThan(gradientTolerance)
    expect(error(results.dup_weight!.data, inner.dweight!.data)).toBeLessThan(gradientTolerance)
    expect(error(results.dweight!.data, outer.dweight!.data)).toBeLessThan(gradientTolerance)
  })
})
