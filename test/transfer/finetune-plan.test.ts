import { describe, expect, it } from 'vitest'
import { commandLineLayer, finetuneOptions, resolveOptions } from '../../src/config/index.js'
import { cutLines, makeFinetunePlan } from '../../src/transfer/finetune-plan.js'

const options = (given: object) =>
  resolveOptions(finetuneOptions, commandLineLayer(finetuneOptions, { data: 'd', out: 'o', ...given }))

/** A run with such options where a step takes 4 ms and a validation 125 ms, and what it takes in seconds. */
function planOf(
  given: { maxTime?: string; epochs?: number; steps?: number },
  cost = { step: 0.004, validation: 0.125 },
) {
  const asked = options(given)
  const plan = makeFinetunePlan(asked, {
    task: 'segmentation',
    trainingCases: 5,
    validationCases: 2,
    seconds: asked.maxTime,
    cost: asked.maxTime === undefined ? undefined : cost,
  })
  const { epochs, stepsPerEpoch: steps } = plan.stages[0]!
  return { epochs, steps, seconds: epochs * (steps * cost.step + cost.validation), lines: cutLines(asked, plan) }
}

describe('a fine-tuning with --max-time', () => {
  it('ends at about that time, whichever of epochs and steps are given', () => {
    for (const given of [{}, { epochs: 5 }, { epochs: 20 }, { epochs: 60 }, { steps: 40 }, { steps: 10 }]) {
      const { seconds, lines } = planOf({ maxTime: '10s', ...given })
      expect(seconds, JSON.stringify(given)).toBeGreaterThan(0.8 * 10)
      expect(seconds, JSON.stringify(given)).toBeLessThan(10)
      expect(lines).toEqual([])
    }
  })

  it('uses the time where two epochs do not fit', () => {
    const { epochs, seconds } = planOf({ maxTime: '10s' }, { step: 0.06, validation: 0.6 })
    expect(epochs).toBe(1)
    expect(seconds).toBeGreaterThan(0.8 * 10)
  })

  it('keeps the epochs that are asked for, and shares the time among them', () => {
    expect(planOf({ maxTime: '10s', epochs: 60 })).toMatchObject({ epochs: 60, steps: 7 })
    expect(planOf({ maxTime: '10s', epochs: 4 })).toMatchObject({ epochs: 4, steps: 543 })
    // What is asked for in full is kept where it fits.
    expect(planOf({ maxTime: '10s', epochs: 4, steps: 30 })).toMatchObject({ epochs: 4, steps: 30, lines: [] })
  })

  it('has fewer epochs or steps than are asked for where they do not fit, and says so', () => {
    const steps = planOf({ maxTime: '10s', epochs: 20, steps: 500 })
    expect(steps).toMatchObject({
      epochs: 20,
      lines: ['--max-time 10s has no room for --steps 500: there will be 83.'],
    })
    expect(steps.seconds).toBeLessThan(10)
    const epochs = planOf({ maxTime: '10s', epochs: 600 })
    expect(epochs).toMatchObject({
      epochs: 71,
      lines: ['--max-time 10s has no room for --epochs 600: there will be 71.'],
    })
    expect(epochs.seconds).toBeLessThan(10)
    // One epoch as long as its validation wants it would take 20 s alone.
    expect(planOf({ maxTime: '10s' }, { step: 0.004, validation: 3 }).seconds).toBeLessThan(10)
  })

  it('is as published without', () => {
    expect(planOf({})).toMatchObject({ epochs: 100, steps: 25 })
    expect(planOf({ epochs: 3, steps: 7 })).toMatchObject({ epochs: 3, steps: 7, lines: [] })
  })
})
