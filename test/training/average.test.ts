import { describe, expect, it } from 'vitest'
import { openEngine } from '../../src/engine/index.js'
import { Network, publishedUNet } from '../../src/nn/index.js'
import { WeightAverage } from '../../src/training/average.js'

const shape = { ...publishedUNet(), baseWidth: 2, depth: 2, patch: [4, 4, 4] as const }
const network = new Network(openEngine({ device: 'cpu', threads: 1 }), shape, 1)
const key = 'out_tr.final_conv.bias'
const [weight, statistic] = [network.tensors.get(key)!, network.tensors.get('down_tr64.ops.0.bn1.running_mean')!]
const seen = async () => [weight.read()[0]!, statistic.read()[1]!]

/** What an epoch with these weights is judged by. */
async function epoch(average: WeightAverage, number: number, value: number): Promise<number[]> {
  weight.fill(value)
  statistic.fill(2 * value)
  const found = await average.lend(number, seen)
  expect(await seen()).toEqual([value, 2 * value])
  return found
}

describe('averaged weights', () => {
  it('weigh epoch t of n as t (t + 1) (t + 2), and so the later ones more', async () => {
    const average = new WeightAverage(network, true)
    const values = [8, 4, 2, 16, 1]
    const weights = values.map((_, i) => (i + 1) * (i + 2) * (i + 3))
    for (const [i, value] of values.entries()) {
      const found = await epoch(average, i + 1, value)
      const sum = (of: readonly number[]) => of.slice(0, i + 1).reduce((a, b) => a + b)
      const mean = sum(values.map((each, j) => each * weights[j]!)) / sum(weights)
      // Float32, rounded once an epoch.
      expect(found[0]).toBeCloseTo(mean, 5)
      expect(found[1]).toBeCloseTo(2 * mean, 5)
    }
  })

  it('are the weights as they are where no average is wanted, and nothing to keep', async () => {
    const average = new WeightAverage(network, false)
    await epoch(average, 1, 8)
    expect(await epoch(average, 2, 4)).toEqual([4, 8])
    expect(average.state.size).toBe(0)
  })

  it('stay as they were when an epoch could not be judged, and go on from what was kept', async () => {
    const average = new WeightAverage(network, true)
    await epoch(average, 1, 8)
    const failed = average.lend(2, () => Promise.reject(new Error('Stopped.')))
    await expect(failed).rejects.toThrow('Stopped.')
    const kept = new Map(
      [...average.state].map(([name, tensor]) => [
        name,
        { dtype: 'F32' as const, shape: [...tensor.shape], data: tensor.read() },
      ]),
    )
    const resumed = new WeightAverage(network, true)
    resumed.restore('last.safetensors', kept)
    expect((await epoch(resumed, 2, 4))[0]).toBeCloseTo(4.8, 5)
    kept.set(`average.${key}`, { dtype: 'F32', shape: [1], data: new Float32Array(1) })
    const other = () => new WeightAverage(new Network(network.engine, { ...shape, outputChannels: 3 }, 1), true)
    expect(() => other().restore('last.safetensors', kept)).toThrow(/does not hold the average of/)
  })
})
