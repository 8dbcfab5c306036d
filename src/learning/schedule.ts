import { SemgenError } from '../errors.js'

/**
 * How the learning rate falls over a stage. Epochs and steps count from 0 within the stage; `steps` is all of them.
 *
 * - `constant`
 * - `step`: times `factor` every `every` epochs; halved every 40 as published
 * - `cosine`: half a cosine from `learningRate` to `minimum` over the stage's steps (Loshchilov and Hutter 2017)
 * - `polynomial`: learningRate * (1 - step / steps)^power; power 0.9 is the segmentation field's habit
 * - `plateau`: times `factor` after `patience` validations in a row that are not better than the best by `delta`
 */
export type Schedule =
  | { readonly kind: 'constant'; readonly learningRate: number }
  | { readonly kind: 'step'; readonly learningRate: number; readonly every: number; readonly factor: number }
  | { readonly kind: 'cosine'; readonly learningRate: number; readonly minimum: number }
  | { readonly kind: 'polynomial'; readonly learningRate: number; readonly power: number }
  | {
      readonly kind: 'plateau'
      readonly learningRate: number
      readonly factor: number
      readonly patience: number
      readonly delta: number
      readonly minimum: number
    }

export type ScheduleKind = Schedule['kind']

/** What a schedule remembers between validations: plain JSON, part of every checkpoint. Only `plateau` uses it. */
export interface ScheduleState {
  readonly learningRate: number
  /** Best validation loss so far; null before the first. */
  readonly best: number | null
  /** Validations in a row that were not better. */
  readonly waited: number
}

export function initialSchedule(schedule: Schedule): ScheduleState {
  return { learningRate: schedule.learningRate, best: null, waited: 0 }
}

/** The learning rate of one step. */
export function learningRateAt(
  schedule: Schedule,
  state: ScheduleState,
  at: { readonly epoch: number; readonly step: number; readonly steps: number },
): number {
  switch (schedule.kind) {
    case 'constant':
      return schedule.learningRate
    case 'step':
      return schedule.learningRate * schedule.factor ** Math.floor(at.epoch / schedule.every)
    case 'cosine': {
      const { learningRate, minimum } = schedule
      return minimum + (learningRate - minimum) * 0.5 * (1 + Math.cos((Math.PI * at.step) / at.steps))
    }
    case 'polynomial':
      return schedule.learningRate * (1 - at.step / at.steps) ** schedule.power
    case 'plateau':
      return state.learningRate
  }
}

/** What the schedule knows after a validation. */
export function afterValidation(schedule: Schedule, state: ScheduleState, loss: number): ScheduleState {
  if (schedule.kind !== 'plateau') return state
  if (state.best === null || loss < state.best - schedule.delta) return { ...state, best: loss, waited: 0 }
  const waited = state.waited + 1
  if (waited < schedule.patience) return { ...state, waited }
  return { ...state, waited: 0, learningRate: Math.max(state.learningRate * schedule.factor, schedule.minimum) }
}

export interface ScheduleOptions {
  readonly kind: ScheduleKind
  readonly learningRate: number
  /** Epochs between two halvings of `step`. */
  readonly halveEvery: number
  /** Validations that `plateau` waits: 20 for pre-training, 6 for target tasks, as published. */
  readonly plateauPatience?: number
}

/**
 * A schedule with the published numbers: factor 0.5; on a plateau delta 1e-4, no lower than 1e-6.
 * @throws SemgenError BAD_OPTION for a learning rate that is not above 0
 */
export function makeSchedule(options: ScheduleOptions): Schedule {
  const { kind, learningRate, halveEvery, plateauPatience = 20 } = options
  if (!(learningRate > 0 && learningRate < Number.POSITIVE_INFINITY))
    throw new SemgenError('BAD_OPTION', `--learning-rate takes a number above 0, not ${learningRate}.`)
  switch (kind) {
    case 'constant':
      return { kind, learningRate }
    case 'step':
      return { kind, learningRate, every: halveEvery, factor: 0.5 }
    case 'cosine':
      return { kind, learningRate, minimum: 0 }
    case 'polynomial':
      return { kind, learningRate, power: 0.9 }
    case 'plateau':
      return { kind, learningRate, factor: 0.5, patience: plateauPatience, delta: 1e-4, minimum: 1e-6 }
  }
}

/** In words, for the printed plan. */
export function describeSchedule(schedule: Schedule): string {
  const rate = `learning rate ${schedule.learningRate}`
  switch (schedule.kind) {
    case 'constant':
      return rate
    case 'step':
      return `${rate}, times ${schedule.factor} every ${schedule.every} epochs`
    case 'cosine':
      return `${rate}, falling along a cosine to ${schedule.minimum}`
    case 'polynomial':
      return `${rate}, falling as (1 - progress)^${schedule.power}`
    case 'plateau':
      return `${rate}, times ${schedule.factor} after ${schedule.patience} validations without a better loss`
  }
}
