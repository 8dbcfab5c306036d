import { listed } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { extentsText } from '../extents.js'
import { bytes, counted, duration, whole } from '../format.js'
import { describeSchedule, makeSchedule, type ScheduleKind } from '../learning/schedule.js'
import { type NetworkShape, stateLayout } from '../nn/index.js'
import { type StagePlan, stepsOf, type TrainingPlan } from './plan.js'
import type { StageLosses } from './recipes.js'

/** What one stage costs on this machine, measured. */
export interface StageCost {
  readonly secondsPerStep: number
  readonly secondsPerValidationCube: number
  /** Activations, parameters, moments and buffers of its programs. */
  readonly bytes: number
}

export interface PlanWishes {
  readonly epochs?: number | undefined
  /** Training cubes an epoch. */
  readonly cubes?: number | undefined
  readonly validationCubes?: number | undefined
  readonly schedule?: ScheduleKind | undefined
  readonly learningRate: number
  readonly halveEvery: number
  readonly patience: number
}

export interface PlanSituation {
  readonly losses: readonly StageLosses[]
  /** As many as there are stages. */
  readonly costs: readonly StageCost[]
  readonly batch: number
  /** Crops of a pass, and held-out ones. */
  readonly trainingCrops: number
  readonly validationCrops: number
  /** Seconds that training may take; undefined when nobody said. */
  readonly seconds?: number | undefined
}

/** Epochs where neither epochs nor time are given. */
const usualEpochs = 200
/** With a time limit, epochs are at least so many (by shortening them) and at most so many (by several passes each). */
const fewestEpochs = 20
const mostEpochs = 200
/** Of the time, validation takes about this part where its size is free; at least `fewestHeldOut` cubes all the same. */
const validationPart = 0.1
const fewestHeldOut = 16
/** With a time limit, epochs are long enough that a validation takes at most this part of their steps' time. */
const mostValidation = 0.25
/** Of the time, this part is planned with: clocks vary, and weights and report are to be written. */
const plannedPart = 0.92
/** Of the epochs, the classification stage before the joint one takes this part. */
const firstPart = 0.25

/**
 * Every stage needs an epoch.
 * @throws SemgenError BAD_OPTION when fewer are wished for
 */
export function checkEpochs(epochs: number | undefined, stages: readonly StageLosses[]): void {
  if (epochs !== undefined && epochs < stages.length)
    throw new SemgenError(
      'BAD_OPTION',
      `--epochs ${epochs} is for all stages together, and ${listed(
        stages.map(({ name }) => name),
        'and',
      )} need one each: give at least ${stages.length}, or leave a stage out with --stages joint.`,
    )
}

/**
 * Decides epochs, steps, validation and decay: as published, or fitted to the time there is.
 * @returns the plan, and the seconds it is expected to take
 * @throws SemgenError BAD_OPTION for fewer epochs than stages
 */
export function makePlan(wishes: PlanWishes, situation: PlanSituation): { plan: TrainingPlan; seconds: number } {
  const { batch, trainingCrops, losses } = situation
  checkEpochs(wishes.epochs, losses)
  const pass = Math.ceil(trainingCrops / batch)
  const validationCubes = heldOut(wishes, situation)
  let stepsPerEpoch = wishes.cubes === undefined ? pass : Math.max(1, Math.round(wishes.cubes / batch))
  let epochs = wishes.epochs ?? usualEpochs
  if (situation.seconds !== undefined) {
    const cost = averageCost(situation, validationCubes)
    const seconds = situation.seconds * plannedPart
    const epochsAt = (steps: number) => seconds / (steps * cost.step + cost.validation)
    const stepsAt = (count: number) => Math.floor((seconds / count - cost.validation) / cost.step)
    if (wishes.epochs !== undefined) {
      if (wishes.cubes === undefined || epochsAt(stepsPerEpoch) < epochs) stepsPerEpoch = Math.max(1, stepsAt(epochs))
    } else {
      if (wishes.cubes === undefined) {
        const least = Math.ceil(cost.validation / (mostValidation * cost.step))
        if (epochsAt(pass) < fewestEpochs) stepsPerEpoch = Math.max(1, least, stepsAt(fewestEpochs))
        else if (epochsAt(pass) > mostEpochs) stepsPerEpoch = pass * Math.ceil(epochsAt(pass) / mostEpochs)
      }
      epochs = Math.max(losses.length, Math.floor(epochsAt(stepsPerEpoch)))
    }
  }
  const first = losses.length > 1 ? Math.max(1, Math.round(epochs * firstPart)) : 0
  const kind = wishes.schedule ?? scheduleUnder(situation.seconds)
  const stages = losses.map((of, i): StagePlan => {
    const stageEpochs = i < losses.length - 1 ? first : epochs - first
    const schedule = makeSchedule({ ...wishes, kind })
    return {
      ...of,
      epochs: stageEpochs,
      stepsPerEpoch,
      schedule,
      normMomentum: momentumFor(batch, stageEpochs * stepsPerEpoch),
    }
  })
  const steps = stages.reduce((sum, stage) => sum + stepsOf(stage), 0)
  const plan: TrainingPlan = {
    batch,
    validationCubes,
    patience: wishes.patience,
    logEvery: Math.max(1, Math.round(steps / 1000)),
    stages,
  }
  return { plan, seconds: secondsOf(plan, situation.costs) }
}

/** How the learning rate falls where nobody says it: as published, or to zero by the end of the time there is. */
export const scheduleUnder = (seconds: number | undefined): ScheduleKind => (seconds === undefined ? 'step' : 'cosine')

/**
 * Running statistics are an average over as many cubes as in the published training (momentum 0.1, batches of 64), however
 * small the batches are: over few cubes they wander so much that the validation loss says little. In a short stage they
 * cover a tenth of it, to have forgotten where they began.
 */
function momentumFor(batch: number, steps: number): number {
  return Math.min(0.1, Math.max((0.1 * batch) / 64, 10 / steps))
}

/** What a plan will take when no stage stops early. */
export function secondsOf(plan: TrainingPlan, costs: readonly StageCost[]): number {
  return plan.stages.reduce((sum, stage, i) => {
    const { secondsPerStep, secondsPerValidationCube } = costs[i]!
    return sum + stepsOf(stage) * secondsPerStep + stage.epochs * plan.validationCubes * secondsPerValidationCube
  }, 0)
}

/** What a plan will take, where it was measured. */
export interface PlanEstimate {
  readonly seconds: number
  readonly costs: readonly StageCost[]
}

/** The plan in lines for people, printed before it starts. */
export function describePlan(
  plan: TrainingPlan,
  network: NetworkShape,
  recipe: string,
  trainingCrops: number,
  estimate?: PlanEstimate,
): string[] {
  const steps = plan.stages.reduce((sum, stage) => sum + stepsOf(stage), 0)
  const parameters = stateLayout(network)
    .filter(({ trainable }) => trainable)
    .reduce((sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1), 0)
  const takes = estimate
    ? `, ${bytes(Math.max(...estimate.costs.map((cost) => cost.bytes)))} of memory, about ${duration(estimate.seconds)} here`
    : ''
  return [
    `Network: ${network.kind}, base width ${network.baseWidth}, depth ${network.depth}, patch ${extentsText(network.patch)}` +
      `${network.classes > 0 ? `, ${whole(network.classes)} classes` : ''}, ${whole(parameters)} parameters.`,
    `Data: ${whole(trainingCrops)} training crops a pass, ${whole(plan.validationCubes)} held-out cubes a validation, batches of ${plan.batch}.`,
    ...plan.stages.map(
      (stage) =>
        `Stage ${stage.name} of ${recipe}: ${counted(stage.epochs, 'epoch')} of ${counted(stage.stepsPerEpoch, 'step')}, ` +
        `${weights(stage)}; ${describeSchedule(stage.schedule)}.`,
    ),
    `In all: ${counted(steps, 'step')}, ${whole(steps * plan.batch)} cubes${takes}; ` +
      `a stage ends early after ${counted(plan.patience, 'epoch')} without a better validation loss.`,
  ]
}

function weights({ restorationWeight, classificationWeight }: StageLosses): string {
  const parts = [
    restorationWeight > 0 ? `${restorationWeight} x restoration error` : '',
    classificationWeight > 0 ? `${classificationWeight} x classification error` : '',
  ]
  return `loss ${parts.filter((part) => part).join(' + ')}`
}

/** Held-out cubes of a validation: all, or as many as a tenth of the time allows when epochs are a pass long. */
function heldOut(wishes: PlanWishes, { costs, batch, ...situation }: PlanSituation): number {
  const { validationCrops, trainingCrops } = situation
  if (wishes.validationCubes !== undefined) return Math.min(wishes.validationCubes, validationCrops)
  const last = costs.at(-1)!
  const cubes = wishes.cubes ?? trainingCrops
  // A pass that is longer than a twentieth of the time will be shortened to that.
  const pass = (cubes / batch) * last.secondsPerStep
  const epoch = situation.seconds === undefined ? pass : Math.min(pass, situation.seconds / fewestEpochs)
  const affordable = Math.floor((validationPart * epoch) / last.secondsPerValidationCube)
  return Math.min(validationCrops, Math.max(fewestHeldOut, affordable))
}

/** Cost of a step and of a validation, averaged over the stages by their parts of the epochs. */
function averageCost({ costs }: PlanSituation, validationCubes: number): { step: number; validation: number } {
  const parts = costs.length === 1 ? [1] : [firstPart, 1 - firstPart]
  const average = (of: (cost: StageCost) => number) => costs.reduce((sum, cost, i) => sum + parts[i]! * of(cost), 0)
  return {
    step: average(({ secondsPerStep }) => secondsPerStep),
    validation: validationCubes * average(({ secondsPerValidationCube }) => secondsPerValidationCube),
  }
}
