import { describe, expect, test } from 'vitest'
import { type Engine, openEngine } from '../../src/engine/index.js'
import { count, engines, type Plain, relativeError, runCalls, uniform } from './harness.js'
import { type AdamState, adam, type SgdState, sgd } from './reference-optimizer.js'

/** Uneven shapes; the last is more than one piece of work. */
const shapes = [[3, 2, 3, 3, 3], [7], [1], [300, 250]]

function tensors(engine: Engine, from: readonly Plain[]) {
  return from.map(({ shape, data }) => engine.tensor(shape).fill(data))
}

const zeros = (shape: readonly number[]): Plain => ({ shape, data: new Float32Array(count(shape)) })
const doubles = (values: readonly Plain[]) => values.map(({ data }) => Float64Array.from(data))

/** Gradients of a step: their size differs by three orders of magnitude between tensors. */
function gradientsOf(step: number): Plain[] {
  return shapes.map((shape, i) => {
    const { data } = uniform(shape, 100 * step + i)
    return { shape, data: data.map((value) => value * 10 ** (i - 1)) as Float32Array }
  })
}

const parameters = shapes.map((shape, i) => uniform(shape, i))

/** Rounding of float32 in some ten operations a step, five steps; parameters are near 1. */
const tolerance = 1e-6

/** How far a tensor has moved: a step of 10^-3 in a float32 near 1 is known to some 10^-4 of itself. */
const change = (values: ArrayLike<number>, i: number) =>
  Array.from(values, (value, k) => value - parameters[i]!.data[k]!)
const coarse = 3e-4

/** Squares summed in float64, rounded once. */
function expectNorm(norm: ArrayLike<number>, gradients: readonly Plain[]) {
  const squares = doubles(gradients).map((data) => data.reduce((sum, value) => sum + value * value, 0))
  expect(relativeError([norm[0]!], [Math.sqrt(squares.reduce((a, b) => a + b))])).toBeLessThan(1e-7)
  expect(norm[1]).toBe(1)
}

/** What SGD says of these gradients: their norm, and 1 if all are finite. */
async function normOf(engine: Engine, gradients: Plain[]) {
  const hyper = { shape: [3], data: Float32Array.of(0.1, 0.9, 0) }
  const { norm } = await runCalls(engine, [
    { operation: 'sgd', inputs: { parameters, gradients, hyper }, outputs: { velocities: shapes, norm: [2] } },
  ])
  return norm!.data
}

describe.each(engines())('on $device', (engine) => {
  // The settings are float32 tensors: the reference takes the same rounded numbers.
  test.each([
    { name: 'as published', hyper: [1e-3, 0.9, 0.999, 1e-8, 0] },
    { name: 'with decay', hyper: [1e-2, 0.8, 0.99, 1e-6, 0.1] },
  ])('Adam, five steps: $name', async ({ hyper }) => {
    const settings = Float32Array.from(hyper)
    const [held, first, second] = [parameters, shapes.map(zeros), shapes.map(zeros)].map((list) =>
      tensors(engine, list),
    )
    const given = tensors(engine, shapes.map(zeros))
    const [step, norm] = [engine.tensor([1]), engine.tensor([2])]
    const program = engine.program()
    const bound = (list: typeof given) => list.map((tensor) => program.bind(tensor))
    program.record(
      'adam',
      { parameters: bound(held!), gradients: bound(given), hyper: program.bind(engine.tensor([5]).fill(settings)) },
      { moments1: bound(first!), moments2: bound(second!), step: program.bind(step), norm: program.bind(norm) },
    )
    const state: AdamState = {
      parameters: doubles(parameters),
      moments1: doubles(shapes.map(zeros)),
      moments2: doubles(shapes.map(zeros)),
      step: 0,
    }
    for (let k = 1; k <= 5; k++) {
      const gradients = gradientsOf(k)
      for (const [i, { data }] of gradients.entries()) given[i]!.write(data)
      await program.run()
      adam(state, doubles(gradients), settings)
      expectNorm(norm.read(), gradients)
      expect(step.read()[0]).toBe(k)
      for (let i = 0; i < shapes.length; i++) {
        expect(relativeError(held![i]!.read(), state.parameters[i]!)).toBeLessThan(tolerance)
        expect(relativeError(change(held![i]!.read(), i), change(state.parameters[i]!, i))).toBeLessThan(coarse)
        expect(relativeError(first![i]!.read(), state.moments1[i]!)).toBeLessThan(tolerance)
        expect(relativeError(second![i]!.read(), state.moments2[i]!)).toBeLessThan(tolerance)
      }
    }
    program.dispose()
  })

  test('Adam takes up a later step where it is told to', async () => {
    const settings = Float32Array.of(1e-3, 0.9, 0.999, 1e-8, 0)
    const [x, g, m, v] = [1, 2, 3, 4].map((seed) => uniform([50], seed)) as [Plain, Plain, Plain, Plain]
    const squared = { shape: [50], data: v.data.map((value) => value * value) as Float32Array }
    const program = engine.program()
    const held = tensors(engine, [x, g, m, squared, { shape: [1], data: Float32Array.of(41) }])
    const [p, gradient, first, second, step] = held.map((tensor) => program.bind(tensor))
    program.record(
      'adam',
      { parameters: [p!], gradients: [gradient!], hyper: program.bind(engine.tensor([5]).fill(settings)) },
      { moments1: [first!], moments2: [second!], step: step!, norm: program.bind(engine.tensor([2])) },
    )
    await program.run()
    const state: AdamState = {
      parameters: doubles([x]),
      moments1: doubles([m]),
      moments2: doubles([squared]),
      step: 41,
    }
    adam(state, doubles([g]), settings)
    expect(held[4]!.read()[0]).toBe(42)
    expect(relativeError(held[0]!.read(), state.parameters[0]!)).toBeLessThan(tolerance)
    program.dispose()
  })

  test.each([
    { name: 'momentum', hyper: [1e-2, 0.9, 0] },
    { name: 'plain', hyper: [1e-2, 0, 0] },
    { name: 'with decay', hyper: [1e-1, 0.5, 0.01] },
  ])('SGD, five steps: $name', async ({ hyper }) => {
    const settings = Float32Array.from(hyper)
    const [held, velocities] = [parameters, shapes.map(zeros)].map((list) => tensors(engine, list))
    const given = tensors(engine, shapes.map(zeros))
    const norm = engine.tensor([2])
    const program = engine.program()
    const bound = (list: typeof given) => list.map((tensor) => program.bind(tensor))
    program.record(
      'sgd',
      { parameters: bound(held!), gradients: bound(given), hyper: program.bind(engine.tensor([3]).fill(settings)) },
      { velocities: bound(velocities!), norm: program.bind(norm) },
    )
    const state: SgdState = { parameters: doubles(parameters), velocities: shapes.map(() => undefined) }
    for (let k = 1; k <= 5; k++) {
      const gradients = gradientsOf(k)
      for (const [i, { data }] of gradients.entries()) given[i]!.write(data)
      await program.run()
      sgd(state, doubles(gradients), settings)
      expectNorm(norm.read(), gradients)
      for (let i = 0; i < shapes.length; i++) {
        expect(relativeError(held![i]!.read(), state.parameters[i]!)).toBeLessThan(tolerance)
        expect(relativeError(change(held![i]!.read(), i), change(state.parameters[i]!, i))).toBeLessThan(coarse)
        expect(relativeError(velocities![i]!.read(), state.velocities[i]!)).toBeLessThan(tolerance)
      }
    }
    program.dispose()
  })

  test.each([
    { name: 'NaN', value: Number.NaN, finite: 0 },
    { name: 'infinity', value: Number.NEGATIVE_INFINITY, finite: 0 },
    { name: 'the largest float32', value: 3.4e38, finite: 1 },
  ])('the norm says whether all gradients are finite: one is $name', async ({ value, finite }) => {
    const gradients = gradientsOf(1)
    gradients[3]!.data[74_999] = value
    expect((await normOf(engine, gradients))[1]).toBe(finite)
  })

  test('lists and settings that do not fit are refused', async () => {
    const [x, g] = [uniform([4], 1), uniform([5], 2)]
    const hyper = { shape: [3], data: Float32Array.of(0.1, 0, 0) }
    const call = {
      operation: 'sgd',
      inputs: { parameters: [x], gradients: [g], hyper },
      outputs: { velocities: [[4]], norm: [2] },
    }
    await expect(runCalls(engine, [call])).rejects.toThrow(/as many "gradients" as parameters, of their shapes/)
    const short = { ...hyper, shape: [2], data: Float32Array.of(0.1, 0) }
    const other = { ...call, inputs: { parameters: [x], gradients: [x], hyper: short } }
    await expect(runCalls(engine, [other])).rejects.toThrow(/sgd takes "hyper" of 3 here, not of 2/)
  })
})

test('any number of threads gives the same norm', async () => {
  const gradients = gradientsOf(3)
  const norms = await Promise.all([1, 2, 3].map((threads) => normOf(openEngine({ device: 'cpu', threads }), gradients)))
  expect(norms[1]).toEqual(norms[0])
  expect(norms[2]).toEqual(norms[0])
})
