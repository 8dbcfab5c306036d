import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ClassificationStep, Network, type NetworkShape, PredictionStep, publishedUNet } from '../../src/nn/index.js'
import { engines, uniform } from '../ops/harness.js'

const python = '/usr/bin/python3'
const torch = (() => {
  try {
    execFileSync(python, ['-c', 'import torch'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

const small: NetworkShape = {
  ...publishedUNet(),
  kind: 'classifier',
  baseWidth: 4,
  depth: 3,
  inputChannels: 2,
  classes: 3,
  patch: [8, 12, 8],
}

interface Answer {
  readonly loss: number
  readonly logits: number[]
  readonly gradients: Record<string, number[]>
  readonly running: Record<string, number[]>
}

function fill(step: ClassificationStep, exclusive: boolean): void {
  step.input.write(uniform(step.input.shape, 1).data as Float32Array)
  step.target.write(exclusive ? Int32Array.of(2, 0, 1) : Float32Array.of(1, 0, 1, 0, 0, 0, 0, 1, 1))
}

function asked(network: Network, step: ClassificationStep, exclusive: boolean): Answer {
  const written = (tensor: { shape: readonly number[]; read(): Float32Array | Int32Array }) => [
    tensor.shape,
    [...tensor.read()],
  ]
  const input = JSON.stringify({
    tensors: Object.fromEntries([...network.tensors].map(([key, tensor]) => [key, written(tensor)])),
    input: written(step.input),
    target: written(step.target),
    exclusive,
  })
  const script = fileURLToPath(new URL('classification.py', import.meta.url))
  return JSON.parse(execFileSync(python, [script], { input, encoding: 'utf8', maxBuffer: 2 ** 28 }))
}

describe.each(engines())('classification on $device', (engine) => {
  // Skipped aloud by name where Debian's python3-torch is not installed.
  test.skipIf(!torch).each([true, false])(
    'loss, gradients and statistics are those of PyTorch in float64, exclusive: %s (needs python3-torch)',
    async (exclusive) => {
      const network = new Network(engine, small, 3)
      const step = new ClassificationStep(network, {
        batch: 3,
        exclusive,
        optimizer: { kind: 'sgd', momentum: 0 },
      })
      fill(step, exclusive)
      const expected = asked(network, step, exclusive)
      const before = network.save()
      // Gradients, seen through a plain SGD step: weights before minus weights after.
      const rate = 2 ** -4
      const figures = await step.run(rate)
      // Float32 rounding through six units, against losses about 1.
      expect(Math.abs(figures.loss - expected.loss)).toBeLessThan(1e-5)
      const truth = step.target.read<Float32Array | Int32Array>()
      const right = [0, 1, 2].filter((i) => {
        const row = expected.logits.slice(3 * i, 3 * i + 3)
        return exclusive
          ? row.indexOf(Math.max(...row)) === truth[i]
          : row.every((logit, c) => logit > 0 === truth[3 * i + c]! > 0)
      })
      expect(figures.correct).toBe(right.length)
      const norm = Math.sqrt(
        Object.entries(expected.gradients)
          .filter(([key]) => !/conv1\.bias/.test(key))
          .reduce((sum, [, values]) => sum + values.reduce((s, v) => s + v * v, 0), 0),
      )
      expect(Math.abs(figures.gradientNorm - norm)).toBeLessThan(1e-4 * norm)
      for (const [key, values] of Object.entries(expected.gradients)) {
        const after = network.tensors.get(key)!.read()
        const largest = Math.max(...values.map(Math.abs))
        // Weights of up to 1 are kept to 2^-24 of themselves, so the difference of two is off by 2^-24 / rate; the rest is
        // float32 rounding through six units with batch statistics, against the tensor's largest gradient and the whole.
        const tolerance = 2 ** -24 / rate + 5e-4 * largest + 1e-6 * norm
        for (const [i, value] of values.entries())
          expect(Math.abs((before.get(key)![i]! - after[i]!) / rate - value), `${key}[${i}]`).toBeLessThan(tolerance)
      }
      for (const [key, values] of Object.entries(expected.running)) {
        const after = network.tensors.get(key)!.read()
        // As above, for statistics of about 1.
        for (const [i, value] of values.entries()) expect(Math.abs(after[i]! - value), key).toBeLessThan(1e-5)
      }
      expect(network.tensors.get('down_tr64.ops.0.bn1.num_batches_tracked')!.read<Int32Array>()[0]).toBe(1)
      step.dispose()
    },
  )

  test('a step follows its gradient, what is frozen stays, and the logits are those of its loss', async () => {
    const network = new Network(engine, small, 3)
    const before = network.save()
    const options = { batch: 3, exclusive: true, optimizer: { kind: 'adam' }, frozen: /^down_tr/ } as const
    const step = new ClassificationStep(network, options)
    fill(step, true)
    // Statistics of the batch, as in training: the same forward pass.
    const question = new PredictionStep(network, { batch: 3 })
    question.input.write(step.input)
    const logits = await question.run()
    const entropy = [2, 0, 1].reduce((sum, label, i) => {
      const row = [...logits.subarray(3 * i, 3 * i + 3)]
      return sum + Math.log(row.reduce((total, l) => total + Math.exp(l), 0)) - row[label]!
    }, 0)
    const first = (await step.run(1e-2)).loss
    // Float32 logits of about 1, against float64.
    expect(Math.abs(first - entropy / 3)).toBeLessThan(1e-5)
    await step.run(1e-2)
    expect((await step.run(1e-2)).loss).toBeLessThan(first)
    const key = 'down_tr64.ops.0.conv1.weight'
    expect(network.tensors.get(key)!.read()).toEqual(before.get(key))
    expect(network.tensors.get('fc.weight')!.read()).not.toEqual(before.get('fc.weight'))
    step.dispose()
    question.dispose()
  })

  test('options and networks that cannot be are refused', () => {
    const options = { batch: 0, exclusive: true, optimizer: { kind: 'adam' } } as const
    const network = new Network(engine, small, 1)
    expect(() => new ClassificationStep(network, options)).toThrow('--batch')
    const unet = new Network(engine, { ...small, kind: 'u-net', classes: 0 }, 1)
    expect(() => new ClassificationStep(unet, { ...options, batch: 2 })).toThrow('by its encoder alone')
  })
})
