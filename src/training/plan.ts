import { z } from 'zod'
import type { Schedule } from '../learning/schedule.js'

const count = z.number().int().min(1)
const weight = z.number().min(0)
const rate = z.number().positive()

const schedule: z.ZodType<Schedule> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('constant'), learningRate: rate }),
  z.object({ kind: z.literal('step'), learningRate: rate, every: count, factor: rate }),
  z.object({ kind: z.literal('cosine'), learningRate: rate, minimum: weight }),
  z.object({ kind: z.literal('polynomial'), learningRate: rate, power: rate }),
  z.object({
    kind: z.literal('plateau'),
    learningRate: rate,
    factor: rate,
    patience: count,
    delta: weight,
    minimum: weight,
  }),
])

/**
 * What a run will do, decided once, before it starts, and saved: a resumed run follows the same plan, so that it ends in
 * the same bits, however fast the machine is by then.
 */
export const trainingPlan = z.object({
  /** Cubes a step. */
  batch: count,
  /** Held-out cubes of a validation. */
  validationCubes: count,
  /** Epochs without a better validation loss after which a stage ends. */
  patience: count,
  /** Steps between two lines of the log. */
  logEvery: count,
  stages: z
    .array(
      z.object({
        name: z.enum(['classification', 'restoration', 'joint', 'segmentation']),
        restorationWeight: weight,
        classificationWeight: weight,
        epochs: count,
        stepsPerEpoch: count,
        schedule,
        /** By which part of the way a step moves the running statistics of batch normalisation. */
        normMomentum: z.number().min(0).max(1),
      }),
    )
    .min(1),
})

export type TrainingPlan = z.infer<typeof trainingPlan>
export type StagePlan = TrainingPlan['stages'][number]

/** Steps of a stage when it is not stopped early. */
export const stepsOf = ({ epochs, stepsPerEpoch }: StagePlan): number => epochs * stepsPerEpoch
