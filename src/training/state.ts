import { z } from 'zod'
import { type Best, noBest } from '../learning/best.js'
import { initialSchedule, type Schedule } from '../learning/schedule.js'

const count = z.number().int().min(0)
const figure = z.number()

const validationFigures = z.object({
  loss: figure,
  restoration: figure.optional(),
  classification: figure.optional(),
  accuracy: figure.optional(),
  perturbed: figure.optional(),
  dice: figure.optional(),
  balancedAccuracy: figure.optional(),
  auc: figure.optional(),
})

/** How a stage ended: its best weights and what they reached on held-out patients. */
const stageResult = z.object({
  stage: z.string(),
  /** Epoch of the best weights, from 1. */
  epoch: count,
  /** Epochs trained. */
  epochs: count,
  reason: z.enum(['finished', 'patience']),
  figures: validationFigures,
})

/**
 * Where a run is: all that is not a tensor, plain JSON. Everything that decides the bits of what follows is either here,
 * in the tensors of the checkpoint, or a function of the seed and the counters here.
 */
export const runState = z.object({
  /** The stage under way; as many as there are stages when the run is finished. */
  stage: count,
  /** Steps done in the stage. */
  step: count,
  /** Epochs of the stage whose validation is done. */
  validated: count,
  /** Steps done over all stages. */
  totalSteps: count,
  schedule: z.object({ learningRate: figure, best: figure.nullable(), waited: count }),
  best: z.object({ loss: figure.nullable(), epoch: count, waited: count }),
  /** Figures of the best validation of this stage. */
  bestFigures: validationFigures.optional(),
  /** Loss of the stage's first step: what divergence is measured by. */
  firstLoss: figure.nullable(),
  /** Sums over the steps since the last line of the log. */
  sums: z.object({
    steps: count,
    loss: figure,
    restoration: figure,
    classification: figure,
    correct: count,
    gradientNorm: figure,
  }),
  results: z.array(stageResult),
  /** Seconds of training so far, interruptions left out. */
  seconds: figure,
})

export type RunState = z.infer<typeof runState>
export type StageResult = z.infer<typeof stageResult>

export const noSums: RunState['sums'] = {
  steps: 0,
  loss: 0,
  restoration: 0,
  classification: 0,
  correct: 0,
  gradientNorm: 0,
}

/** The state at the beginning of a stage. */
export function stageStart(
  schedule: Schedule,
  before: Pick<RunState, 'stage' | 'totalSteps' | 'results' | 'seconds'>,
): RunState {
  const best: Best = noBest
  return {
    ...before,
    step: 0,
    validated: 0,
    schedule: initialSchedule(schedule),
    best,
    bestFigures: undefined,
    firstLoss: null,
    sums: noSums,
  }
}
