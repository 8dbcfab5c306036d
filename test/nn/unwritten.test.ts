import { describe, expect, test } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import type { Tensor } from '../../src/engine/index.js'
import { Graph } from '../../src/nn/graph.js'
import { convUnit, maxPool, type Parameters, pointwise, upUnit } from '../../src/nn/layers.js'
import { engines, sameBits, uniform } from '../ops/harness.js'

/** Extents of a decoder's level: two bricks of the fast convolutions, so that one lies beside a neighbour. */
const level = [1, 16, 8, 8] as const
const channels = 32
const norm = { statistics: 'batch', update: true, momentum: 0.1 } as const

describe.each(engines('bf16'))('on $device', (engine) => {
  test.each(['composed', 'two-step'] as const)(
    'what reads a unit gets the same bits whether its output is written or not: %s',
    async (decoder) => {
      const unwritten = await run(decoder, false)
      const written = await run(decoder, true)
      expect([...unwritten.tensors.keys()]).toEqual([...written.tensors.keys()])
      for (const [key, values] of unwritten.tensors)
        expect(sameBits(values, written.tensors.get(key)!), `${key} is the same`).toBe(true)
      if (engine.device !== 'sim') return
      // Of four units, only what the transposed convolution reads is written.
      expect(written.normalisations - unwritten.normalisations).toBe(3)
    },
  )

  /** A level of a U-Net with its gradients. What else reads a unit's output, as `peek` does, needs it in memory. */
  async function run(decoder: 'composed' | 'two-step', peek: boolean) {
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
    shapes['last.weight'] = [2, channels, 1, 1, 1]
    shapes['last.bias'] = [2]
    const p: Parameters = {
      get: (key) => graph.bind(tensors.get(key) ?? tensor(key, shapes[key]!), true),
      gradient: (key) => program.bind(tensor(`gradient of ${key}`, shapes[key]!)),
    }

    const x = graph.activation([...level, channels], true)
    graph.record('cast', { x: graph.bind(tensor('x', x.shape)) }, { y: x })
    const one = convUnit(graph, p, 'one', norm, x)
    const two = convUnit(graph, p, 'two', norm, one)
    const three = convUnit(graph, p, 'three', norm, maxPool(graph, one))
    const up = upUnit(graph, p, 'up', norm, decoder, three, two)
    const last = pointwise(graph, p, 'last', up)
    const dx = graph.wanted(last)
    const losses = { loss: program.bind(tensor('loss', [1])), dx }
    graph.record('mse', { x: last, target: graph.bind(tensor('target', last.shape)) }, losses, { weight: 1 })
    graph.contribute(last, dx)
    if (peek)
      for (const unit of [one, two, up]) graph.record('cast', { x: unit }, { y: graph.bind(engine.tensor(unit.shape)) })
    graph.backward()
    const simulator = engine.device === 'sim' ? addon('sim').simulator : undefined
    simulator?.resetCounters()
    await program.run()
    const normalisations = (simulator?.counters() ?? [])
      .filter(({ kernel }) => kernel.startsWith('normaliseKernel'))
      .reduce((sum, { launches }) => sum + launches, 0)
    program.dispose()
    return { tensors: new Map([...tensors].map(([key, one]) => [key, one.read<Float32Array>()])), normalisations }
  }
})
