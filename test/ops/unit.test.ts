import { describe, expect, test } from 'vitest'
import { type Call, engines, type Plain, relativeError, runCalls, uniform } from './harness.js'
import { conv3d, conv3dGrad, convTranspose3d, convTranspose3dGrad } from './reference.js'
import { biasGradient, normRelu } from './reference-norm.js'

const epsilon = 1e-5
const momentum = 0.1
const same = { stride: [1, 1, 1], padding: [1, 1, 1] }

/** float32 sums of up to 27 * 64 products, then a division by a standard deviation: a few 10^-6 of the largest value. */
const tolerance = 2e-5

function parameters(channels: number) {
  return {
    bias: uniform([channels], 11),
    gamma: uniform([channels], 12),
    beta: uniform([channels], 13),
    running_mean: uniform([channels], 14),
    running_variance: {
      shape: [channels],
      data: uniform([channels], 15).data.map((value) => 1.5 + value) as Float32Array,
    },
  }
}

/** The running statistics after a step, from those before it: PyTorch's rule, unbiased variance. */
function moved(before: Plain, batch: ArrayLike<number>, scale = 1): number[] {
  return Array.from(before.data, (value, c) => (1 - momentum) * value + momentum * scale * batch[c]!)
}

const sizes = [
  { name: 'two inputs, as in the decoder', shape: [2, 6, 4, 6], x: 32, skip: 16, out: 16 },
  { name: 'odd extents, uneven channels', shape: [2, 5, 3, 7], x: 5, skip: 0, out: 11 },
  { name: 'first layer', shape: [2, 8, 8, 4], x: 1, skip: 0, out: 32 },
]

describe.each(engines())('on $device', (engine) => {
  describe.each(['batch', 'running'])('with %s statistics', (statistics) => {
    test.each(sizes)('the conv unit and its gradient: $name', async ({ shape, x: channels, skip: beside, out }) => {
      const x = uniform([...shape, channels], 1)
      const skip = beside ? uniform([...shape, beside], 2) : undefined
      const weight = uniform([out, channels + beside, 3, 3, 3], 3)
      const p = parameters(out)
      const dy = uniform([...shape, out], 4)

      const z = conv3d(x, skip, weight, p.bias, same.stride, same.padding)
      const given =
        statistics === 'running' ? { mean: p.running_mean.data, variance: p.running_variance.data } : undefined
      const norm = normRelu(z, p.gamma, p.beta, epsilon, given)
      const { dz, dgamma, dbeta } = norm.backward(dy)
      const gradients = conv3dGrad(x, skip, weight, dz, same.stride, same.padding)
      const samples = z.data.length / out

      const inputs = { x, ...(skip && { skip }), weight }
      const results = await runCalls(engine, [
        {
          operation: 'conv_unit',
          inputs: { ...inputs, ...p },
          outputs: { y: z.shape, z: z.shape, mean: [out], variance: [out], mask: 'opaque' },
          attributes: { ...same, statistics, epsilon, momentum, update: true },
        },
        {
          operation: 'conv_unit_grad',
          inputs: { ...inputs, gamma: p.gamma, beta: p.beta, ...saved, dy },
          outputs: {
            dx: x.shape,
            ...(skip && { dskip: skip.shape }),
            dweight: weight.shape,
            dbias: [out],
            dgamma: [out],
            dbeta: [out],
          },
          attributes: { ...same, statistics, epsilon },
        },
      ])
      expect(relativeError(results.y!.data, norm.y.data)).toBeLessThan(tolerance)
      const expected = { ...gradients, dgamma: { data: dgamma }, dbeta: { data: dbeta } }
      for (const [role, { data }] of Object.entries(expected))
        if (role !== 'dbias') expect(relativeError(results[role]!.data, data), role).toBeLessThan(tolerance)
      expect(relativeError(results.dbias!.data, biasGradient(dz, statistics))).toBeLessThan(tolerance)
      if (statistics === 'batch') {
        const unbiased = samples / (samples - 1)
        expect(relativeError(results.running_mean!.data, moved(p.running_mean, norm.mean))).toBeLessThan(tolerance)
        expect(
          relativeError(results.running_variance!.data, moved(p.running_variance, norm.variance, unbiased)),
        ).toBeLessThan(tolerance)
      } else {
        expect(results.running_mean!.data).toEqual(p.running_mean.data)
      }
    })

    test.each(['two-step', 'composed', 'auto'])("the decoder's unit and its gradient, %s", async (decoder) => {
      const [channels, beside, out] = [12, 6, 7]
      const x = uniform([2, 3, 1, 2, channels], 1)
      const skip = uniform([2, 6, 2, 4, beside], 2)
      const up_weight = uniform([channels, channels, 2, 2, 2], 5)
      const up_bias = uniform([channels], 6)
      const weight = uniform([out, channels + beside, 3, 3, 3], 3)
      const p = parameters(out)
      const dy = uniform([2, 6, 2, 4, out], 4)

      const up = convTranspose3d(x, up_weight, up_bias, [2, 2, 2], [0, 0, 0])
      const z = conv3d(up, skip, weight, p.bias, same.stride, same.padding)
      const given =
        statistics === 'running' ? { mean: p.running_mean.data, variance: p.running_variance.data } : undefined
      const norm = normRelu(z, p.gamma, p.beta, epsilon, given)
      const { dz, dgamma, dbeta } = norm.backward(dy)
      const outer = conv3dGrad(up, skip, weight, dz, same.stride, same.padding)
      const inner = convTranspose3dGrad(x, up_weight, outer.dx!, [2, 2, 2], [0, 0, 0])
      const samples = z.data.length / out

      const inputs = { x, skip, up_weight, up_bias, weight }
      const results = await runCalls(engine, [
        {
          operation: 'up_unit',
          inputs: { ...inputs, ...p },
          outputs: { y: z.shape, z: z.shape, up: up.shape, mean: [out], variance: [out], mask: 'opaque' },
          attributes: { statistics, epsilon, momentum, update: true, decoder },
        },
        {
          operation: 'up_unit_grad',
          inputs: { ...inputs, gamma: p.gamma, beta: p.beta, ...saved, up: uniform(up.shape, 99), dy },
          outputs: {
            dx: x.shape,
            dskip: skip.shape,
            dup_weight: up_weight.shape,
            dup_bias: [channels],
            dweight: weight.shape,
            dbias: [out],
            dgamma: [out],
            dbeta: [out],
          },
          attributes: { statistics, epsilon, decoder },
        },
      ])
      expect(relativeError(results.y!.data, norm.y.data)).toBeLessThan(tolerance)
      const expected: Record<string, ArrayLike<number>> = {
        dx: inner.dx!.data,
        dskip: outer.dskip!.data,
        dup_weight: inner.dweight!.data,
        dweight: outer.dweight!.data,
        dgamma,
        dbeta,
      }
      for (const [role, data] of Object.entries(expected))
        expect(relativeError(results[role]!.data, data), role).toBeLessThan(tolerance)
      // With batch statistics it is a small difference of large sums, so it is held against those sums' size.
      const scale = Array.from(outer.dx!.data).reduce((sum, value) => sum + Math.abs(value), 0)
      for (let c = 0; c < channels; c++)
        expect(Math.abs(results.dup_bias!.data[c]! - inner.dbias!.data[c]!)).toBeLessThan(scale * tolerance)
      if (statistics === 'batch') {
        const unbiased = samples / (samples - 1)
        expect(relativeError(results.running_mean!.data, moved(p.running_mean, norm.mean))).toBeLessThan(tolerance)
        expect(
          relativeError(results.running_variance!.data, moved(p.running_variance, norm.variance, unbiased)),
        ).toBeLessThan(tolerance)
      }
    })
  })

  test('a skip of other extents is refused', async () => {
    const call: Call = {
      operation: 'up_unit',
      inputs: {
        x: uniform([1, 2, 2, 2, 4], 1),
        skip: uniform([1, 4, 4, 5, 4], 2),
        up_weight: uniform([4, 4, 2, 2, 2], 3),
        up_bias: uniform([4], 4),
        weight: uniform([4, 8, 3, 3, 3], 5),
        ...parameters(4),
      },
      outputs: {
        y: [1, 4, 4, 5, 4],
        z: [1, 4, 4, 5, 4],
        up: [1, 4, 4, 5, 4],
        mean: [4],
        variance: [4],
        mask: 'opaque',
      },
      attributes: { statistics: 'batch', epsilon, momentum, update: false, decoder: 'auto' },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow('twice the extents')
  })
})

/** Stand-ins for what the forward operation keeps: the harness puts its own results in their place. */
const kept: Plain = { shape: [1], data: new Float32Array(1) }
const saved = { z: kept, mean: kept, variance: kept, mask: kept }
