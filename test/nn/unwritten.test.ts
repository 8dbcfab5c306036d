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

describe.each(engines('bf16'))('on $device', (engine) => {
  test.each([
    ['composed', 1],
    ['composed', 2],
    ['two-step', 1],
  ] as const)(
    'what reads a tensor gets the same bits whether it is written or not: %s, %i outputs',
    async (decoder, outputs) => {
      const unwritten = await run(decoder, outputs, false)
      const written = await run(decoder, outputs, true)
      expect([...unwritten.tensors.keys()]).toEqual([...written.tensors.keys()])
      for (const [key, values] of unwritten.tensors)
        expect(sameBits(values, written.tensors.get(key)!), `${key} is the same`).toBe(true)
      if (engine.device !== 'sim') return
      // Of four units, only what the transposed convolution reads is written.
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
    },
  )

  /**
   * A level of a U-Net with its gradients. What else reads a unit's output, or its gradient, as `peek` does, needs it in
   * memory.
   */
  async function run(decoder: 'composed' | 'two-step', outputs: number, peek: boolean) {
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

    const x = graph.activation([...level, channels], true)
    graph.record('cast', { x: graph.bind(tensor('x', x.shape)) }, { y: x })
    const copy = (id: TensorId, shape: readonly number[]) =>
      graph.record('cast', { x: id }, { y: graph.bind(engine.tensor(shape)) })
    const peeked = (unit: Value) => {
      if (peek) graph.onBackward(unit, (dy) => copy(dy, unit.shape))
      return unit
    }
    const one = peeked(convUnit(graph, p, 'one', norm, x))
    const two = peeked(convUnit(graph, p, 'two', norm, one))
    const three = convUnit(graph, p, 'three', norm, maxPool(graph, one))
    const up = peeked(upUnit(graph, p, 'up', norm, decoder, three, two))
    const last = pointwise(graph, p, 'last', up)
    const dx = graph.wanted(last)
    const losses = { loss: program.bind(tensor('loss', [1])), dx }
    graph.record('mse', { x: last, target: graph.bind(tensor('target', last.shape)) }, losses, { weight: 1 })
    graph.contribute(last, dx)
    if (peek) for (const unit of [one, two, up]) copy(unit.id, unit.shape)
    graph.backward()
    const simulator = engine.device === 'sim' ? addon('sim').simulator : undefined
    simulator?.resetCounters()
    await program.run()
    const counters = simulator?.counters() ?? []
    program.dispose()
    return {
      tensors: new Map([...tensors].map(([key, one]) => [key, one.read<Float32Array>()])),
      launches: (kernel: string) =>
        counters.filter((one) => one.kernel.startsWith(kernel)).reduce((sum, { launches }) => sum + launches, 0),
    }
  }
})
