import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { planOptions } from '../../src/config/index.js'
import { EvaluationStep, Network, publishedYNet, TrainingStep } from '../../src/nn/index.js'
import { cubeTensors } from '../../src/training/cubes.js'
import { planSteps, stepMemory } from '../../src/training/step-memory.js'
import { engines } from '../ops/harness.js'

const shape = { ...publishedYNet(5), baseWidth: 16, patch: [32, 32, 16] as const }
const losses = { name: 'joint', restorationWeight: 1, classificationWeight: 0.01 } as const

// Only a device with memory of its own says exactly what is taken of it.
const devices = engines('bf16').filter(({ device }) => device !== 'cpu')
if (devices.length === 0) console.info('skipped: neither a card nor the simulator is here to plan for')

describe.skipIf(devices.length === 0).each(devices)('on $device', (engine) => {
  test.each([0, 1, 4])('with %i levels recomputed, training takes what was planned', async (recompute) => {
    const batch = 2
    const planned = stepMemory(new Network(engine, shape, 0, recompute), losses, batch)
    await collectGarbage()
    const before = engine.freeMemory()
    const network = new Network(engine, shape, 0, recompute)
    const step = new TrainingStep(network, { batch, ...losses, optimizer: { kind: 'adam' } })
    const validation = new EvaluationStep(network, { batch, ...losses })
    const made = cubeTensors(engine, batch, shape.patch)
    step.plan
    validation.plan
    const taken = before - engine.freeMemory()
    // The plan has to be right within 2 %; tensors of a few bytes take whole pages.
    expect(Math.abs(planned.total - taken) / taken).toBeLessThan(0.02)
    step.dispose()
    validation.dispose()
    expect(made.input.length).toBeGreaterThan(0)
  })
})

/** Until nothing that was planned with is held any more: tensors go with their JavaScript objects. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('the largest batch that there is can be planned', () => {
  const defaults = Object.fromEntries(Object.entries(planOptions).map(([key, { fallback }]) => [key, fallback]))
  const asked = {
    ...defaults,
    device: 'cpu',
    baseWidth: 2,
    patch: [8, 8, 8],
    depth: 2,
    batch: [65_536],
    recompute: [0],
  }
  expect(planSteps(asked as unknown as Parameters<typeof planSteps>[0])).toMatchObject([{ batch: 65_536 }])
})
