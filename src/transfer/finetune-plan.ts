import { performance } from 'node:perf_hooks'
import { duration, type FinetuneOptions } from '../config/index.js'
import { makeSchedule } from '../learning/schedule.js'
import { type Network, usualMomentum } from '../nn/index.js'
import type { TrainingPlan } from '../training/plan.js'
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
/** Steps are timed for about so long. */
const timedSeconds = 1
const timedSteps = { fewest: 3, most: 10 }

/**
 * Decides epochs, steps and decay: as published, or fitted to the time there is. The time wins: where epochs or steps that
 * were asked for do not fit it, `cutLines` tells.
 */
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
    const seconds = Math.max(0, of.seconds) * plannedPart
    const epochsAt = (steps: number) => Math.max(1, Math.floor(seconds / (steps * step + validation)))
    const stepsAt = (count: number) => Math.max(1, Math.floor((seconds / count - validation) / step))
    if (options.epochs === undefined) {
      stepsPerEpoch = options.steps ?? Math.max(stepsPerEpoch, Math.ceil(validation / (validationPart * step)))
      epochs = epochsAt(stepsPerEpoch)
      // What whole epochs leave of the time, much of it where they are few, goes into more steps.
      stepsPerEpoch = options.steps ?? Math.max(stepsPerEpoch, stepsAt(epochs))
    } else {
      epochs = Math.min(options.epochs, epochsAt(1))
      stepsPerEpoch = options.steps ?? stepsAt(epochs)
    }
    // A little is let pass: epochs that fit exactly are not to lose a step to rounding.
    if (epochs * (stepsPerEpoch * step + validation) > 1.001 * seconds)
      stepsPerEpoch = Math.min(stepsPerEpoch, stepsAt(epochs))
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

/** What the time left of the epochs and steps that were asked for, in a line each, for people. */
export function cutLines({ epochs, steps, maxTime }: FinetuneOptions, plan: TrainingPlan): string[] {
  const cut = (name: string, asked: number | undefined, planned: number) =>
    asked !== undefined && planned < asked
      ? [`--max-time ${duration.write(maxTime!)} has no room for --${name} ${asked}: there will be ${planned}.`]
      : []
  const [stage] = plan.stages
  return [...cut('epochs', epochs, stage!.epochs), ...cut('steps', steps, stage!.stepsPerEpoch)]
}

/**
 * Times a few steps, after one that is not counted, and a validation. The mean of the steps, and not the least: what else
 * the machine does slows the run down, too. The weights are afterwards what they were.
 */
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
      signal?.throwIfAborted()
      await parts.feed.supply(at)
      await parts.step.run(0)
    }
    await step(0)
    let [steps, seconds] = [0, 0]
    while (steps < timedSteps.fewest || (steps < timedSteps.most && seconds < timedSeconds))
      seconds += await clock(() => step(++steps))
    return { step: seconds / steps, validation: await clock(() => parts.validation.run(signal)) }
  } finally {
    await parts.feed.settle()
    parts.step.dispose()
    parts.validation.dispose()
    network.load(weights)
  }
}
