import { z } from 'zod'

/**
 * The files of a run that training writes and the report reads. Every number is finite; what a recipe does not have
 * (a classification error, say) is left out.
 */

const count = z.number().int().min(0)
const extents = z.tuple([count, count, count])

/** Losses and accuracy, unweighted but for `loss`, which is what the optimizer sees. */
const figures = {
  loss: z.number(),
  /** Mean squared error of restored cubes. */
  restoration: z.number().optional(),
  /** Cross-entropy of the patterns. */
  classification: z.number().optional(),
  /** Share of cubes whose pattern was named rightly, 0 to 1. */
  accuracy: z.number().optional(),
}

const common = {
  /** When the line was written: ISO 8601. */
  time: z.iso.datetime({ offset: true }),
  /** Optimizer steps made so far, over all stages. */
  step: count,
}

const interval = z.tuple([z.number(), z.number()])
/** What tells classes apart, beside accuracy. */
const classified = {
  /** Mean over the classes of the share of each that is named rightly. */
  balancedAccuracy: z.number().optional(),
  /** Area under the ROC curve; of more than two classes, the mean of each against the rest. */
  auc: z.number().optional(),
}

/** Figures on the test part of a target task; each task has its own. */
export const testFigures = z.object({
  cases: count,
  /** Mean Dice of the outputs over whole cases. */
  dice: z.number().optional(),
  accuracy: z.number().optional(),
  ...classified,
  /** Dice, or AUC, of each output that has one. */
  byOutput: z.record(z.string(), z.number()),
  /** 95 %, by bootstrap over cases. */
  intervals: z.object({ accuracy: interval, balancedAccuracy: interval, auc: interval }).partial().optional(),
})
export type TestFigures = z.infer<typeof testFigures>

/** One line of metrics.jsonl. */
export const metricsEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('start'), ...common }),
  /** A stage begins. */
  z.object({
    event: z.literal('stage'),
    ...common,
    /** "classification", "joint", ... */
    stage: z.string(),
    epochs: count,
    stepsPerEpoch: count,
  }),
  /** Training figures since the last such line, averaged. */
  z.object({
    event: z.literal('step'),
    ...common,
    stage: z.string(),
    /** From 1, within the stage. */
    epoch: count,
    ...figures,
    learningRate: z.number(),
    gradientNorm: z.number(),
    cubesPerSecond: z.number(),
    /** Share of the time in which the engine waited for cubes, 0 to 1. */
    waiting: z.number().optional(),
  }),
  /** Figures on held-out patients. */
  z.object({
    event: z.literal('validation'),
    ...common,
    stage: z.string(),
    epoch: count,
    ...figures,
    /** Mean squared error of the perturbed cubes themselves: what restoring nothing would give. */
    perturbed: z.number().optional(),
    /** Mean Dice of the outputs over whole held-out cases, of a segmentation. */
    dice: z.number().optional(),
    ...classified,
    /** Whether this is the best so far, and is kept in best.safetensors. */
    best: z.boolean(),
  }),
  /** Figures of a fine-tuned network on the test part, which nothing was chosen by. */
  z.object({ event: z.literal('test'), ...common, ...testFigures.shape }),
  /** The run goes on from the checkpoint of `step`; lines of later steps before this one were lost with the process. */
  z.object({ event: z.literal('resume'), ...common }),
  z.object({
    event: z.literal('end'),
    ...common,
    reason: z.enum(['finished', 'patience', 'stopped', 'diverged']),
    /** One sentence for people, where there is more to say. */
    message: z.string().optional(),
  }),
])

/** The figures that training steps and validations share. */
export type LossFigures = Pick<Extract<MetricsEvent, { event: 'step' }>, keyof typeof figures>

export type MetricsEvent = z.infer<typeof metricsEvent>

/** config.json: what was asked, what was chosen, with what it ran. */
export const runConfiguration = z.looseObject({
  version: z.literal(1),
  /** "semgen-native 0.1.0" */
  program: z.string(),
  created: z.iso.datetime({ offset: true }),
  /** The options as given or by default (TrainOptions). */
  options: z.record(z.string(), z.unknown()),
  /** The values of the options that were chosen by the work. */
  chosen: z.record(z.string(), z.unknown()),
  /** Of a pre-training, what it asks its network (Recipe). */
  recipe: z.looseObject({ question: z.string() }).optional(),
  /** The network's shape (NetworkShape). */
  network: z.record(z.string(), z.unknown()),
  /** Machine and versions: { node, platform, cpu, device, library, instructions, precision, threads }. */
  environment: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})

export type RunConfiguration = z.infer<typeof runConfiguration>

/**
 * samples.json, beside samples.bin: a few held-out cubes as they were, perturbed, and restored by the best weights.
 * samples.bin holds, sample after sample, the three cubes one after another, each X*Y*Z bytes, z fastest: the value in
 * [0, 1] times 255, rounded.
 */
export const samplesFile = z.object({
  version: z.literal(1),
  /** Optimizer steps made when they were drawn. */
  step: count,
  shape: extents,
  samples: z.array(
    z.object({
      scan: z.string(),
      /** Pattern number, where there are patterns. */
      pattern: count.optional(),
      /** The pattern that the network named. */
      named: count.optional(),
      /** Size of a voxel of the cube in millimetres. */
      spacing: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
      /** In words: "elastic, out-painting". */
      perturbation: z.string(),
      /** Mean squared errors against the original. */
      perturbedError: z.number(),
      restoredError: z.number(),
    }),
  ),
})

export type SamplesFile = z.infer<typeof samplesFile>
