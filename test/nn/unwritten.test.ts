import { describe, expect, test } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import type { Tensor, TensorId } from '../../src/engine/index.js'
import { Graph, type Value } from '../../src/nn/graph.js'
import { convUnit, maxPool, type Parameters, pointwise, upUnit } from '../../src/nn/layers.js'
import { engines, sameBits, uniform } from '../ops/harness.js'

/** Extents of a decoder's level: two bricks of the fast convolutions, so that one lies beside a neighbour. */
const level = [1, 16, 8, 8] as const
const channels = 32
const norm = { statistics: 'batch', update: true, momentum: 0.1 } as const

/** Units that something else reads, too, or whose gradients; whether the input's gradient is wanted. */
interface Peek {
  readonly units?: readonly string[]
  readonly gradients?: readonly string[]
  readonly x?: boolean
}

describe.each(engines('bf16'))('on $device', (engine) => {
  test.each([
    ['composed', 1],
    ['composed', 2],
    ['two-step', 1],
  ] as const)(
    'what reads a tensor gets the same bits whether it is written or not: %s, %i outputs',
    async (decoder, outputs) => {
      const unwritten = await run(decoder, outputs, {})
      const written = await run(decoder, outputs, { units: ['one', 'two', 'up'], gradients: ['one', 'up'], x: true })
      expect([...unwritten.tensors.keys()]).toEqual([...written.tensors.keys()])
      for (const [key, values] of unwritten.tensors)
        expect(sameBits(values, written.tensors.get(key)!), `${key} is the same`).toBe(true)
      if (engine.device !== 'sim') return
      // Of five units, only what the transposed convolution reads is written.
      expect(written.launches('normaliseKernel') - unwritten.launches('normaliseKernel')).toBe(3)
      // The gradient of the pooled unit is a sum; that of the last is a product where one channel is read from it.
      for (const [gradient, count] of [
        ['PooledGradient', 1],
        ['ProductGradient', outputs === 1 ? 1 : 0],
      ] as const) {
        expect(unwritten.launches(`gradientSumsKernel<bf16, ${gradient}>`), gradient).toBe(count)
        expect(unwritten.launches(`gradientKernel<bf16, ${gradient}>`), gradient).toBe(count)
        expect(written.launches(`gradientKernel<bf16, ${gradient}>`), gradient).toBe(0)
      }
      // The first unit's weight gradient computes dz itself.
      expect(written.launches('gradientKernel') - unwritten.launches('gradientKernel')).toBe(1)
    },
  )

  test('sums that a convolution takes over the gradient that it writes are those of the gradient', async () => {
    const taken = await run('composed', 1, {})
    const { copies, tensors, launches } = await run('composed', 1, { units: ['two'], gradients: ['two'] })
    if (engine.device === 'sim')
      expect(launches('gradientSumsKernel') - taken.launches('gradientSumsKernel'), 'passes spared').toBe(1)
    const [y, dy] = [copies.get('two')!, copies.get('gradient of two')!]
    const [gamma, beta] = [tensors.get('two.bn1.weight')!, tensors.get('two.bn1.bias')!]
    for (let channel = 0; channel < channels; channel++) {
      const sums = { beta: 0, gamma: 0, size: 0, weighted: 0 }
      for (let i = channel; i < y.length; i += channels) {
        if (!(y[i]! > 0)) continue
        const normalised = (y[i]! - beta[channel]!) / gamma[channel]!
        sums.beta += dy[i]!
        sums.gamma += dy[i]! * normalised
        sums.size += Math.abs(dy[i]!)
        // Eight bits of y are known: it was rounded by up to 2^-8 of itself.
        sums.weighted += Math.abs((dy[i]! * y[i]!) / gamma[channel]!)
      }
      // Of 1,024 terms at most, by eights, lanes, warps and bricks: less than 64 roundings to 2^-24 a term.
      const rounding = 2 ** -18 * sums.size
      expect(Math.abs(taken.tensors.get('gradient of two.bn1.bias')![channel]! - sums.beta)).toBeLessThanOrEqual(
        rounding,
      )
      expect(Math.abs(taken.tensors.get('gradient of two.bn1.weight')![channel]! - sums.gamma)).toBeLessThanOrEqual(
        2 ** -8 * sums.weighted + rounding,
      )
    }
  })

  /**
   * A level of a U-Net with its gradients. What else reads a unit's output, or its gradient, as `peek` says, needs it in
   * memory; with `x`, the first unit's gradient is read twice.
   */
  async function run(decoder: 'composed' | 'two-step', outputs: number, peek: Peek) {
    const program = engine.program()
    const graph = new Graph(program)
    const tensors = new Map<string, Tensor>()
    let seed = 0
    const tensor = (key: string, shape: readonly number[]) => {
      const made = engine.tensor(shape).fill(uniform(shape, ++seed).data as Float32Array)
      tensors.set(key, made)
      return made
    }
    const shapes: Record<string, readonly number[]> = {}
    for (const [unit, inputs] of [
      ['first', 1],
      ['one', channels],
      ['two', channels],
      ['three', channels],
      ['up.ops.0', 2 * channels],
    ] as const) {
      shapes[`${unit}.conv1.weight`] = [channels, inputs, 3, 3, 3]
      for (const key of ['conv1.bias', 'bn1.weight', 'bn1.bias', 'bn1.running_mean', 'bn1.running_var'])
        shapes[`${unit}.${key}`] = [channels]
    }
    shapes['up.up_conv.weight'] = [channels, channels, 2, 2, 2]
    shapes['up.up_conv.bias'] = [channels]
    shapes['last.weight'] = [outputs, channels, 1, 1, 1]
    shapes['last.bias'] = [outputs]
    const p: Parameters = {
      get: (key) => graph.bind(tensors.get(key) ?? tensor(key, shapes[key]!), true),
      gradient: (key) => program.bind(tensor(`gradient of ${key}`, shapes[key]!)),
    }

    const x = graph.activation([...level, 1], peek.x ?? false)
    graph.record('cast', { x: graph.bind(tensor('x', x.shape)) }, { y: x })
    const copies = new Map<string, Tensor>()
    const copy = (key: string, id: TensorId, shape: readonly number[]) => {
      copies.set(key, engine.tensor(shape))
      graph.record('cast', { x: id }, { y: graph.bind(copies.get(key)!) })
    }
    const peeked = (key: string, unit: Value) => {
      if (peek.units?.includes(key)) copy(key, unit.id, unit.shape)
      if (peek.gradients?.includes(key)) graph.onBackward(unit, (dy) => copy(`gradient of ${key}`, dy, unit.shape))
      return unit
    }
    const one = peeked('one', convUnit(graph, p, 'one', norm, convUnit(graph, p, 'first', norm, x)))
    const two = peeked('two', convUnit(graph, p, 'two', norm, one))
    const three = convUnit(graph, p, 'three', norm, maxPool(graph, one))
    const up = peeked('up', upUnit(graph, p, 'up', norm, decoder, three, two))
    const last = pointwise(graph, p, 'last', up)
    const dx = graph.wanted(last)
    const losses = { loss: program.bind(tensor('loss', [1])), dx }
    graph.record('mse', { x: last, target: graph.bind(tensor('target', last.shape)) }, losses, { weight: 1 })
    graph.contribute(last, dx)
    graph.backward()
    const simulator = engine.device === 'sim' ? addon('sim').simulator : undefined
    simulator?.resetCounters()
    await program.run()
    const counters = simulator?.counters() ?? []
    program.dispose()
    const read = (all: Map<string, Tensor>) => new Map([...all].map(([key, one]) => [key, one.read<Float32Array>()]))
    return {
      tensors: read(tensors),
      copies: read(copies),
      launches: (kernel: string) =>
        counters.filter((one) => one.kernel.startsWith(kernel)).reduce((sum, { launches }) => sum + launches, 0),
    }
  }
})
