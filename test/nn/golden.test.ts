import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  EvaluationStep,
  type LossOptions,
  Network,
  type NetworkShape,
  publishedYNet,
  TrainingStep,
} from '../../src/nn/index.js'
import { engines } from '../ops/harness.js'

/** PyTorch's answers in float64, made by golden.py. */
const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as {
  keys: string[]
  losses: [number, number][]
  gradients: Record<string, { norm: number; first: number[]; last: number }>
  running: Record<string, number[]>
  evaluation: { restored: number[]; logits: number[][] }
}

const shape: NetworkShape = { ...publishedYNet(5), baseWidth: 4, patch: [16, 16, 8], norm: 'running' }
const options: LossOptions = { batch: 2, restorationWeight: 1, classificationWeight: 0.01 }

/** The same numbers as golden.py's `values`. */
function values(stream: number, count: number, low: number, high: number): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => {
    let hashed = (Math.imul(index, 2654435761) + stream * 40503 + 12345) >>> 0
    hashed = Math.imul(hashed ^ (hashed >>> 15), 2246822519) >>> 0
    return low + ((high - low) * hashed) / 2 ** 32
  })
}

function prepared(network: Network): void {
  let stream = 0
  for (const [key, tensor] of network.tensors) {
    if (/bn1\.weight$|running_var$/.test(key)) tensor.write(values(stream, tensor.length, 0.5, 1.5))
    else if (!key.endsWith('num_batches_tracked')) tensor.write(values(stream, tensor.length, -0.2, 0.2))
    stream++
  }
}

function fed<T extends TrainingStep | EvaluationStep>(step: T): T {
  step.input.write(values(1000, step.input.length, 0, 1))
  step.target.write(values(1001, step.target.length, 0, 1))
  step.labels.write(Int32Array.of(3, 1))
  return step
}

test('the state dict has the keys of the published network, in its order', () => {
  const [engine] = engines()
  expect([...new Network(engine!, shape, 0).tensors.keys()]).toEqual(golden.keys)
})

/** The simulator takes a minute a way: it shows one of them here, and both in test/ops. */
const ways = engines()
  .flatMap((engine) => (['two-step', 'composed'] as const).map((decoder) => [engine, decoder] as const))
  .filter(([{ device }, decoder]) => device !== 'sim' || decoder === 'composed')

test.each(ways)("a Y-Net's losses, gradients and training are PyTorch's", async (engine, decoder) => {
  // Gradients, seen through a plain SGD step of rate 1: weights before minus weights after.
  const network = new Network(engine, shape, 0)
  prepared(network)
  const before = network.save()
  const sgd = fed(new TrainingStep(network, { ...options, decoder, optimizer: { kind: 'sgd', momentum: 0 } }))
  const rate = 2 ** -4
  await sgd.run(rate)
  const largest = Math.max(...Object.values(golden.gradients).map(({ norm }) => norm))
  for (const [key, expected] of Object.entries(golden.gradients)) {
    const after = network.tensors.get(key)!.read()
    const gradient = Float64Array.from(after, (value, i) => (before.get(key)![i]! - value) / rate)
    // Weights of up to 1.5 are kept to 2^-24 of themselves, so the difference of two is off by up to 1.5 * 2^-24 / rate
    // each; the rest is float32 rounding through 18 layers, against the size of this tensor's gradient.
    const rounding = (1.5 * 2 ** -24) / rate
    const tolerance = 5e-4 * expected.norm + rounding + 1e-7 * largest
    for (let i = 0; i < expected.first.length; i++)
      expect(Math.abs(gradient[i]! - expected.first[i]!), `${key}[${i}]`).toBeLessThan(tolerance)
    expect(Math.abs(gradient.at(-1)! - expected.last), key).toBeLessThan(tolerance)
    const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0))
    expect(Math.abs(norm - expected.norm), key).toBeLessThan(tolerance + rounding * Math.sqrt(gradient.length))
  }
  sgd.dispose()

  // Several Adam steps: losses, and running statistics after the first.
  let running = false
  const trained = new Network(engine, shape, 0)
  prepared(trained)
  const adam = fed(new TrainingStep(trained, { ...options, decoder, optimizer: { kind: 'adam' } }))
  for (const [restoration, classification] of golden.losses) {
    const figures = await adam.run(1e-2)
    // Adam divides by gradients' own size, so rounding grows step by step.
    expect(figures.restoration).toBeCloseTo(restoration, 4)
    expect(figures.classification).toBeCloseTo(classification, 3)
    expect(figures.loss).toBeCloseTo(restoration + 0.01 * classification, 4)
    expect(figures.finite).toBe(true)
    // Adam moves a weight whose gradient is rounding noise by the full rate either way, which later statistics show.
    if (running) continue
    running = true
    for (const [key, expected] of Object.entries(golden.running)) {
      const actual = trained.tensors.get(key)!.read()
      // float32 rounding through up to 18 layers.
      for (let i = 0; i < expected.length; i++)
        expect(Math.abs(actual[i]! - expected[i]!), `${key}[${i}]`).toBeLessThan(1e-5 * (1 + Math.abs(expected[i]!)))
    }
  }
  expect(trained.tensors.get('clc_out.bn1.num_batches_tracked')!.read<Int32Array>()[0]).toBe(golden.losses.length)
  adam.dispose()

  // Inference with the running statistics there are at the beginning: float32 rounding through 18 layers.
  const untrained = new Network(engine, shape, 0)
  prepared(untrained)
  const evaluation = fed(new EvaluationStep(untrained, { ...options, decoder }))
  await evaluation.run()
  const restored = evaluation.output!.read()
  const logits = evaluation.logits!.read()
  for (let i = 0; i < golden.evaluation.restored.length; i++)
    expect(restored[257 * i]!).toBeCloseTo(golden.evaluation.restored[i]!, 4)
  for (const [i, expected] of golden.evaluation.logits.flat().entries()) expect(logits[i]!).toBeCloseTo(expected, 4)
  evaluation.dispose()
})
