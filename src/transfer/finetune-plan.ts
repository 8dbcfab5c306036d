import { performance } from 'node:perf_hooks'
import type { FinetuneOptions } from '../config/index.js'
import { type Network, usualMomentum } from '../nn/index.js'
import type { TrainingPlan } from '../training/plan.js'
import { makeSchedule } from '../training/schedule.js'
import type { OpenTask, TargetTask } from './target-task.js'

/** What a step and a validation cost on this machine, in seconds, measured. */
export interface FinetuneCost {
  readonly step: number
  readonly validation: number
}

const usualEpochs = 100
const fewestSteps = 25
/** With a time limit, epochs are long enough that validations take at most about this part of it. */
const validationPart = 0.15
/** Of the time, this part is planned with. */
const plannedPart = 0.92

/** Decides epochs, steps and decay: as published, or fitted to the time there is. */
export function makeFinetunePlan(
  options: FinetuneOptions,
  of: {
    readonly task: TargetTask['name']
    readonly trainingCases: number
    readonly validationCases: number
    readonly seconds: number | undefined
    readonly cost: FinetuneCost | undefined
  },
): TrainingPlan {
  const { learningRate, batch, patience } = options
  let stepsPerEpoch = options.steps ?? Math.max(fewestSteps, Math.ceil(of.trainingCases / batch))
  let epochs = options.epochs ?? usualEpochs
  if (of.seconds !== undefined && of.cost) {
    const { step, validation } = of.cost
    stepsPerEpoch = options.steps ?? Math.max(stepsPerEpoch, Math.ceil(validation / (validationPart * step)))
    const seconds = Math.max(0, of.seconds) * plannedPart
    epochs = options.epochs ?? Math.max(1, Math.floor(seconds / (stepsPerEpoch * step + validation)))
  }
  const kind = options.schedule ?? (of.seconds === undefined ? 'plateau' : 'polynomial')
  const schedule = makeSchedule({ kind, learningRate, halveEvery: 1, plateauPatience: 6 })
  return {
    batch,
    validationCubes: of.validationCases,
    patience,
    logEvery: Math.max(1, Math.round((epochs * stepsPerEpoch) / 1000)),
    stages: [
      {
        name: of.task,
        restorationWeight: 0,
        classificationWeight: of.task === 'classification' ? 1 : 0,
        epochs,
        stepsPerEpoch,
        schedule,
        normMomentum: usualMomentum,
      },
    ],
  }
}

/** Times two steps, after one that is not counted, and a validation. The weights are afterwards what they were. */
export async function measureParts(network: Network, task: OpenTask, signal?: AbortSignal): Promise<FinetuneCost> {
  const weights = network.save()
  const parts = task.parts(usualMomentum)
  try {
    const clock = async (work: () => Promise<unknown>) => {
      const start = performance.now()
      await work()
      return (performance.now() - start) / 1000
    }
    const step = async (at: number) => {
      await parts.feed.supply(at)
      await parts.step.run(0)
    }
    await step(0)
    const steps = [await clock(() => step(1)), await clock(() => step(2)), await clock(() => step(3))]
    return { step: Math.min(...steps), validation: await clock(() => parts.validation.run(signal)) }
  } finally {
    await parts.feed.settle()
    parts.step.dispose()
    parts.validation.dispose()
    network.load(weights)
  }
}
