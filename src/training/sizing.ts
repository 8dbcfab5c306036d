import type { TrainOptions } from '../config/index.js'
import { choosePatch } from '../discovery/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { trainingFlops } from '../learning/flops.js'
import { measureFlops } from '../learning/rate.js'
import { checkShape, type Network, publishedYNet } from '../nn/index.js'
import type { Progress } from '../progress.js'
import { decided, fitBatch, fitSize, nightSeconds, type Size } from './fit.js'
import { type Measured, measureStages } from './measure.js'
import type { TrainingPlan } from './plan.js'
import { makePlan, type StageCost } from './planning.js'
import type { Recipe, StageLosses } from './recipes.js'
import { bytesPerCube } from './step-memory.js'

/** Of the free memory, a step's activations may take this part. */
const memoryPart = 0.5

/** What the machine does, measured once where something has to be chosen by it. */
type Speed = () => Promise<number>

/** What choices depend on besides the scans. */
export interface Situation {
  /** Seconds left; undefined when nobody set a limit. */
  readonly seconds: () => number | undefined
  readonly speed: Speed
}

export function speedOf(engine: Engine, signal?: AbortSignal): Speed {
  let measured: Promise<number> | undefined
  return () => (measured ??= measureFlops(engine, signal))
}

/**
 * The size of network and patch: as wished, else fitted to scans, machine and time, and said aloud.
 * @throws SemgenError BAD_OPTION where no network has the size that is wished for
 */
export async function chooseSize(
  wishes: { readonly [K in keyof Size]: Size[K] | undefined },
  recipe: Recipe,
  scans: readonly { readonly shape: Extents }[],
  situation: Situation,
  progress: Progress,
): Promise<Size> {
  const { baseWidth, depth, patch } = wishes
  if (decided(wishes)) return checked({ baseWidth, depth, patch } as Size)
  const { size, why } = fitSize(wishes, {
    patch: choosePatch(scans),
    seconds: situation.seconds() ?? nightSeconds,
    flopsPerSecond: await situation.speed(),
    losses: costliest(recipe),
  })
  progress.say(`Chosen: ${why}`)
  return checked(size)
}

function checked(size: Size): Size {
  checkShape({ ...publishedYNet(), ...size })
  return size
}

/** @throws SemgenError BAD_OPTION where a single value a channel is left at the lowest level: it has no variance */
export function checkBatch({ patch, depth }: Size, batch: number): void {
  if (batch * voxelCount(patch) > 8 ** (depth - 1)) return
  throw new SemgenError(
    'BAD_OPTION',
    `--depth ${depth} halves a patch of ${patch.join('x')} down to one voxel, and the batch statistics of one are none: use a larger --batch or --patch, or a smaller --depth.`,
  )
}

/**
 * Batch, epochs and schedule: measured on the network and the cubes they are for. Where a step does not fit the memory,
 * the batch is halved until it does.
 */
export async function choosePlan(
  options: TrainOptions,
  recipe: Recipe,
  material: Omit<Measured, 'losses' | 'batch'>,
  situation: Situation,
  progress: Progress,
  signal?: AbortSignal,
): Promise<{ plan: TrainingPlan; seconds: number; costs: readonly StageCost[] }> {
  const { trainingCrops, validationCrops, network } = material
  let batch = options.batch ?? (await chooseBatch(recipe, network, trainingCrops.size, situation))
  progress.say('Measuring a few steps of each stage.')
  for (;;)
    try {
      const costs = await measureStages({ ...material, losses: recipe.stages, batch }, signal)
      const made = makePlan(options, {
        losses: recipe.stages,
        costs,
        batch,
        trainingCrops: trainingCrops.size,
        validationCrops: validationCrops.size,
        seconds: situation.seconds(),
      })
      return { ...made, costs }
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'OUT_OF_MEMORY' || batch === 1) throw error
      if (options.batch !== undefined) {
        const { engine } = network
        const fits = Math.floor((memoryPart * engine.freeMemory()) / bytesPerCube(network, costliest(recipe)))
        throw new SemgenError(
          'OUT_OF_MEMORY',
          `A batch of ${batch} does not fit the memory of --device ${engine.device}` +
            (fits > 0
              ? `: --batch ${Math.min(fits, batch - 1)} would, and --recompute makes room for more.`
              : ', nor does one cube: use --recompute, or a smaller --base-width or --patch.'),
          { cause: error },
        )
      }
      batch = Math.ceil(batch / 2)
      progress.warn(`The step does not fit the memory; trying batches of ${batch}.`)
    }
}

async function chooseBatch(recipe: Recipe, network: Network, pass: number, situation: Situation): Promise<number> {
  const losses = costliest(recipe)
  const seconds = situation.seconds() ?? nightSeconds
  const cubes = (seconds * (await situation.speed())) / trainingFlops(network.shape, losses)
  return fitBatch({
    cubes,
    pass,
    bytesPerCube: bytesPerCube(network, losses),
    memory: memoryPart * network.engine.freeMemory(),
  })
}

/** The losses of the stage that costs most. */
function costliest({ stages }: Recipe): StageLosses {
  return stages.find(({ restorationWeight }) => restorationWeight > 0) ?? stages[0]!
}
