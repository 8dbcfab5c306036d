import { describe, expect, test } from 'vitest'
import { Network, publishedYNet, TrainingStep } from '../../src/nn/index.js'
import { engines, sameBits, uniform } from '../ops/harness.js'

const shape = { ...publishedYNet(5), baseWidth: 4, depth: 3, patch: [16, 16, 8] as const }
const batch = 2

// The simulator takes minutes for what float32 does without tensor cores.
const exact = engines('fp32').filter(({ device }) => device !== 'sim')

describe.each([...exact, ...engines('bf16')])('on $device in $precision', (engine) => {
  test('levels that are computed again take less memory and give the same bits', async () => {
    const runs = []
    for (let recompute = 0; recompute <= shape.depth; recompute++) runs.push(await run(recompute))
    const [kept] = runs
    for (const [level, run] of runs.entries()) {
      for (const [key, values] of run.state)
        expect(sameBits(values, kept!.state.get(key)!), `${key} with ${level} levels computed again`).toBe(true)
      expect(run.figures).toEqual(kept!.figures)
    }
    expect(runs[1]!.arenaBytes).toBeLessThan(kept!.arenaBytes)
    for (let level = 2; level < runs.length; level++)
      expect(runs[level]!.arenaBytes).toBeLessThanOrEqual(runs[level - 1]!.arenaBytes)
  })

  /** Two steps: the second sees what the first did to weights and running statistics. */
  async function run(recompute: number) {
    const network = new Network(engine, shape, 7, recompute)
    const step = new TrainingStep(network, {
      batch,
      restorationWeight: 1,
      classificationWeight: 0.01,
      optimizer: { kind: 'adam' },
    })
    step.input.write(uniform(step.input.shape, 1).data)
    step.target.write(uniform(step.target.shape, 2).data)
    step.labels.write(Int32Array.of(1, 4))
    const figures = [await step.run(1e-3), await step.run(1e-3)]
    const { arenaBytes } = step.plan
    step.dispose()
    return { figures, arenaBytes, state: network.save() }
  }
})
