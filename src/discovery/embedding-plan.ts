import { performance } from 'node:perf_hooks'
import { z } from 'zod'
import type { Engine } from '../engine/index.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import { bytes, counted, duration } from '../format.js'
import { forwardFlops } from '../learning/flops.js'
import { Network, type NetworkShape, TrainingStep } from '../nn/index.js'
import { Random } from '../random.js'
import { alongAxes, median } from './frame.js'
import type { DiscoveryOptions } from './options.js'

const count = z.number().int().min(1)

/** What the auto-encoder is and how it is trained: decided once, kept in its checkpoint, followed by a resumed run. */
export const embeddingPlan = z.object({
  network: z.object({
    kind: z.literal('auto-encoder'),
    baseWidth: count,
    depth: count,
    inputChannels: z.literal(1),
    outputChannels: z.literal(1),
    classes: z.literal(0),
    patch: z.tuple([count, count, count]),
    skips: z.boolean(),
    norm: z.literal('running'),
  }),
  /** Scans a step. */
  batch: count,
  stepsPerEpoch: count,
  /** At most; it ends earlier after `patience` epochs without a better loss. */
  epochs: count,
  patience: count,
})

export type EmbeddingPlan = z.infer<typeof embeddingPlan>

/** Levels of the auto-encoder: the published four. */
export const embeddingDepth = 4
/** As published. */
const published = { width: 32, input: [128, 128, 64] as Extents, batch: 8, patience: 50 }
/** Sizes to choose from, the published one first. */
const sizes = [
  { width: 32, part: 1 },
  { width: 16, part: 1 },
  { width: 16, part: 1 / 2 },
  { width: 8, part: 1 / 2 },
  { width: 8, part: 1 / 4 },
  { width: 4, part: 1 / 4 },
] as const
/** A size is chosen so that at least so many steps fit the time, and epochs so that there are no more than so many. */
const enoughSteps = 400
const mostEpochs = 500
/** The time it may take when nobody says. */
const usualSeconds = { cpu: 300, cuda: 1800, sim: 60 }
/** Floating-point operations a second and thread that are counted on before anything is measured: a slow x86 core. */
const nominalRate = { cpu: 5e10, cuda: 2e13, sim: 1e6 }
/** Of the time, this part is planned with. */
const plannedPart = 0.85

/** What an engine can be counted on to do without measuring it, so that the choice is the same in every run. */
export function nominalFlops({ device, threads }: Pick<Engine, 'device' | 'threads'>): number {
  return nominalRate[device] * (device === 'cpu' ? threads : 1)
}

/** Activations and gradients of a training step, float32 values a voxel and unit of base width: measured, rounded up. */
const valuesPerVoxel = 28

export interface EmbeddingSituation {
  readonly train: readonly { readonly shape: Extents }[]
  readonly validation: readonly { readonly shape: Extents }[]
  readonly device: keyof typeof usualSeconds
  /** Floating-point operations a second that are counted on. */
  readonly rate: number
  /** Bytes that a step may use. */
  readonly memory: number
}

export type EmbeddingWishes = Pick<
  DiscoveryOptions,
  'embeddingWidth' | 'embeddingInput' | 'embeddingEpochs' | 'embeddingSkips' | 'embeddingBatch' | 'maxTime'
>

/**
 * Chooses the auto-encoder's size, batch and epochs to fit cohort, memory and time: the largest size with which enough
 * steps fit. What is wished for is kept.
 */
export function planEmbedding(wishes: EmbeddingWishes, situation: EmbeddingSituation): EmbeddingPlan {
  const { train, device, rate, memory } = situation
  const seconds = (wishes.maxTime ?? usualSeconds[device]) * plannedPart
  const candidates = sizes.map(({ width, part }) => {
    const network: EmbeddingPlan['network'] = {
      kind: 'auto-encoder',
      baseWidth: wishes.embeddingWidth ?? width,
      depth: embeddingDepth,
      inputChannels: 1,
      outputChannels: 1,
      classes: 0,
      patch: wishes.embeddingInput ? [...wishes.embeddingInput] : inputFor(train, part),
      skips: wishes.embeddingSkips ?? false,
      norm: 'running',
    }
    const each = valuesPerVoxel * 4 * voxelCount(network.patch) * network.baseWidth
    const usual = Math.min(published.batch, Math.max(2, Math.floor(train.length / 4)), train.length)
    const batch = wishes.embeddingBatch ?? Math.max(1, Math.min(usual, Math.floor(memory / each)))
    const stepsPerEpoch = Math.ceil(train.length / batch)
    const epochs = affordable(network, { batch, stepsPerEpoch }, situation, seconds * rate)
    return { network, batch, stepsPerEpoch, epochs, fits: each <= memory }
  })
  const chosen = candidates.find((c) => c.fits && c.epochs * c.stepsPerEpoch >= enoughSteps) ?? candidates.at(-1)!
  const { network, batch, stepsPerEpoch } = chosen
  const epochs = wishes.embeddingEpochs ?? clampEpochs(chosen.epochs)
  return { network, batch, stepsPerEpoch, epochs, patience: published.patience }
}

/** Epochs that an amount of floating-point operations pays for, validation included. */
function affordable(
  network: NetworkShape,
  { batch, stepsPerEpoch }: Pick<EmbeddingPlan, 'batch' | 'stepsPerEpoch'>,
  { validation }: EmbeddingSituation,
  flops: number,
): number {
  return (
    flops / (forwardFlops(network, { decoder: true, head: false }) * (3 * batch * stepsPerEpoch + validation.length))
  )
}

const clampEpochs = (epochs: number): number => Math.max(1, Math.min(mostEpochs, Math.floor(epochs)))

/** The input: a part of the published one, and no more voxels than the scans have; whole numbers of 8 voxels. */
function inputFor(scans: readonly { readonly shape: Extents }[], part: number): [number, number, number] {
  return alongAxes((axis) => {
    const extent = Math.ceil(median(scans.map(({ shape }) => shape[axis])) / 8) * 8
    return Math.max(8, Math.min(extent, published.input[axis] * part))
  })
}

/**
 * The plan with as many epochs as fit the time by a measured step. Weights are not kept.
 * @throws SemgenError OUT_OF_MEMORY when a step does not fit
 */
export async function timedPlan(
  engine: Engine,
  plan: EmbeddingPlan,
  validation: number,
  seconds: number,
  signal?: AbortSignal,
): Promise<EmbeddingPlan> {
  const { network: shape, batch, stepsPerEpoch } = plan
  const step = new TrainingStep(new Network(engine, shape, 0), {
    batch,
    restorationWeight: 1,
    classificationWeight: 0,
    optimizer: { kind: 'adam' },
  })
  try {
    const random = new Random(0, 'discovery/measure')
    const noise = Float32Array.from({ length: step.input.length }, () => random.uniform())
    step.input.write(noise)
    step.target.write(noise)
    await step.run(0)
    const start = performance.now()
    let runs = 0
    do {
      signal?.throwIfAborted()
      await step.run(0)
      runs++
    } while (runs < 20 && performance.now() - start < Math.min(3000, 20 * seconds))
    const perStep = (performance.now() - start) / 1000 / runs
    const perEpoch = perStep * (stepsPerEpoch + validation / (3 * batch))
    return { ...plan, epochs: clampEpochs((seconds * plannedPart) / perEpoch) }
  } finally {
    step.dispose()
  }
}

/** The plan in sentences for people. */
export function describeEmbedding(plan: EmbeddingPlan, wishes: EmbeddingWishes, memory: number): string[] {
  const { network, batch, epochs, stepsPerEpoch } = plan
  const free = [
    wishes.embeddingWidth === undefined ? '--embedding-width' : '',
    wishes.embeddingInput === undefined ? '--embedding-input' : '',
    wishes.embeddingBatch === undefined ? '--embedding-batch' : '',
    wishes.embeddingEpochs === undefined ? '--embedding-epochs' : '',
  ].filter((name) => name)
  const time = wishes.maxTime === undefined ? '' : ` within ${duration(wishes.maxTime)}`
  return [
    `Auto-encoder: base width ${network.baseWidth}, input ${extentsText(network.patch)}, ${network.skips ? 'with' : 'without'} skips, batches of ${batch}, ` +
      `at most ${counted(epochs, 'epoch')} of ${counted(stepsPerEpoch, 'step')}` +
      (free.length > 0
        ? `: fitted to scans, device, ${bytes(memory)} of memory and time${time} (published: 32, 128 x 128 x 64, 8); ${free.join(', ')} set ${free.length > 1 ? 'them' : 'it'}.`
        : '.'),
  ]
}
