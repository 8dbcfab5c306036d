import { describe, expect, test } from 'vitest'
import { Network, type NetworkShape, PredictionStep, publishedUNet, SegmentationStep } from '../../src/nn/index.js'
import { engines, uniform } from '../ops/harness.js'

const small: NetworkShape = { ...publishedUNet(), baseWidth: 4, depth: 2, patch: [8, 6, 4], outputChannels: 2 }
const options = { batch: 2, diceWeight: 1, crossEntropyWeight: 0.5, optimizer: { kind: 'adam' } } as const

function filled(step: SegmentationStep): { input: Float32Array; target: Float32Array } {
  const input = uniform(step.input.shape, 1).data as Float32Array
  const target = Float32Array.from(uniform(step.target.shape, 2).data, (value) => (value > 0.3 ? 1 : 0))
  step.input.write(input)
  step.target.write(target)
  return { input, target }
}

describe.each(engines())('segmentation on $device', (engine) => {
  test('the losses are those of the logits, by their definitions', async () => {
    const network = new Network(engine, small, 3)
    const step = new SegmentationStep(network, options)
    const { input, target } = filled(step)
    // Statistics of the batch, as in training: the same forward pass.
    const prediction = new PredictionStep(network, { batch: 2 })
    prediction.input.write(input)
    const logits = await prediction.run()
    let [shared, sizes, entropy] = [0, 0, 0]
    logits.forEach((logit, i) => {
      const p = 1 / (1 + Math.exp(-logit))
      shared += p * target[i]!
      sizes += p + target[i]!
      entropy += Math.max(logit, 0) - logit * target[i]! + Math.log1p(Math.exp(-Math.abs(logit)))
    })
    const dice = 1 - (2 * shared + 1) / (sizes + 1)
    const figures = await step.run(1e-3)
    // Float32 sums over 768 values, against float64.
    expect(Math.abs(figures.dice - dice)).toBeLessThan(1e-5)
    expect(Math.abs(figures.crossEntropy - entropy / logits.length)).toBeLessThan(1e-5)
    expect(figures.loss).toBeCloseTo(figures.dice + 0.5 * figures.crossEntropy, 5)
    expect(figures.finite).toBe(true)
    step.dispose()
    prediction.dispose()
  })

  test('a step follows the gradient of both losses, and what is frozen stays', async () => {
    const network = new Network(engine, small, 3)
    const before = network.save()
    const step = new SegmentationStep(network, { ...options, frozen: /^down_tr/ })
    filled(step)
    const first = (await step.run(1e-2)).loss
    await step.run(1e-2)
    expect((await step.run(1e-2)).loss).toBeLessThan(first)
    const key = 'down_tr64.ops.0.conv1.weight'
    expect(network.tensors.get(key)!.read()).toEqual(before.get(key))
    const moved = 'out_tr.final_conv.weight'
    expect(network.tensors.get(moved)!.read()).not.toEqual(before.get(moved))
    step.dispose()
  })

  test('options that cannot be are refused', () => {
    const network = new Network(engine, small, 1)
    const weights = { diceWeight: 0, crossEntropyWeight: 0 }
    expect(() => new SegmentationStep(network, { ...options, ...weights })).toThrow('one is above 0')
    expect(() => new SegmentationStep(network, { ...options, batch: 0 })).toThrow('--batch')
    const classifier = new Network(engine, { ...small, kind: 'classifier', classes: 2 }, 1)
    expect(() => new SegmentationStep(classifier, options)).toThrow('no decoder to segment with')
  })
})
