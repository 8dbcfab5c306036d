import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/index.js'
import { Network, type NetworkShape, publishedYNet, TrainingStep } from '../../src/nn/index.js'
import { engines, uniform } from '../ops/harness.js'

/** Widths that take the fast paths of a card: multiples of 16. */
const shape: NetworkShape = { ...publishedYNet(3), baseWidth: 16, depth: 3, patch: [8, 8, 8], norm: 'running' }
const steps = 3
const rate = 2 ** -4

/** A few SGD steps: the losses, and the first step's gradients, seen through what it did to the weights. */
async function train(engine: Engine): Promise<{ losses: number[]; gradients: Map<string, Float64Array> }> {
  const network = new Network(engine, shape, 5)
  const step = new TrainingStep(network, {
    batch: 2,
    restorationWeight: 1,
    classificationWeight: 0.01,
    optimizer: { kind: 'sgd', momentum: 0 },
  })
  step.input.write(uniform(step.input.shape, 1).data)
  step.target.write(uniform(step.target.shape, 2).data.map((value) => Math.abs(value)) as Float32Array)
  step.labels.write(Int32Array.of(0, 2))
  const before = network.save()
  const losses = [(await step.run(rate)).loss]
  const gradients = new Map(
    network.trainable.map((key) => {
      const after = network.tensors.get(key)!.read()
      return [key, Float64Array.from(after, (value, i) => (before.get(key)![i]! - value) / rate)] as const
    }),
  )
  for (let i = 1; i < steps; i++) losses.push((await step.run(rate)).loss)
  step.dispose()
  return { losses, gradients }
}

/** How far two sets of gradients are apart, in parts of the first one's length. */
function distance(a: Map<string, Float64Array>, b: Map<string, Float64Array>): number {
  let [apart, length] = [0, 0]
  for (const [key, values] of a)
    for (const [i, value] of values.entries()) {
      apart += (value - b.get(key)![i]!) ** 2
      length += value ** 2
    }
  return Math.sqrt(apart / length)
}

const [reference] = engines()
const plain = engines('bf16').find(({ device }) => device === 'cpu')
const others = [...engines(), ...engines('tf32'), ...engines('bf16')].filter(({ device }) => device !== 'cpu')

test.skipIf(others.length === 0)('the same training on every engine and in every precision', async () => {
  const exact = await train(reference!)
  const bf16 = plain && (await train(plain))
  for (const engine of others) {
    const name = `${engine.device} ${engine.precision}`
    const found = await train(engine)
    const apart = distance(exact.gradients, found.gradients)
    console.info(
      `${name}: losses ${found.losses.map((loss) => loss.toFixed(6))}, gradients apart ${apart.toExponential(1)}`,
    )
    // float32: the rounding of a few thousand additions in other orders, through a dozen normalisations.
    // bfloat16: at most twice what the CPU's own bfloat16 is off by (0.3 where the CPU has none: 2^-8 a value, through as
    // many layers, and ReLUs that open or close). tf32 keeps three bits more of each factor: at most half of that.
    const bf16Bound = bf16 ? 2 * distance(exact.gradients, bf16.gradients) : 0.3
    const bound = { fp32: 1e-4, tf32: bf16Bound / 2, bf16: bf16Bound }[engine.precision]
    expect(apart, name).toBeLessThan(bound)
    for (const [i, loss] of found.losses.entries()) {
      const expected = exact.losses[i]!
      expect(Math.abs(loss - expected) / expected, `${name}, step ${i}`).toBeLessThan(bound)
    }
  }
})
