import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { z } from 'zod'
import { labelWriter, type SegmentationOutput } from '../cases/outputs.js'
import { type PredictOptions, predictOptions } from '../config/index.js'
import { type Engine, openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { counted, duration, whole } from '../format.js'
import { Network, type NetworkShape, PredictionStep } from '../nn/index.js'
import { type Progress, silent } from '../progress.js'
import {
  type Cohort,
  findScans,
  type PreparedScan,
  readVolume,
  type ScanFile,
  type Volume,
  writeVolume,
} from '../volumes/index.js'
import { groupedScans } from './grouped-scans.js'
import { toFile } from './image-grid.js'
import { chosenPreparation, type Preparation, warnOfModality } from './intensities.js'
import { PlaneFiles } from './plane-files.js'
import { classifies, predictClasses } from './predict-classes.js'
import { preparedVolumes } from './prepared-volumes.js'
import { withScratch } from './scratch.js'
import { slideWindows, windowCount } from './sliding-window.js'
import { checkTaskOptions } from './task-options.js'
import { type BatchedOptions, batchFor, type FineTuned, readFineTuned } from './usage.js'

/** What fine-tuned weights say about themselves: how to feed the network, and what it answers. */
interface Recipe {
  readonly shape: NetworkShape
  readonly outputs: readonly SegmentationOutput[]
  readonly spacing: Extents | undefined
  /** What the channels are called, where they were learnt from folders of a case. */
  readonly channels: readonly string[] | undefined
}

const triple = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()])
const metadata = z.object({
  task: z.literal('segmentation'),
  outputs: z.array(z.object({ name: z.string(), labels: z.array(z.number().int()) })).min(1),
  network: z.looseObject({ kind: z.literal('u-net') }),
  spacing: triple.nullable(),
  /** Their names; weights that were converted or averaged say how many there are where they have none. */
  channels: z.union([z.array(z.string()), z.number()]).nullish(),
})

/**
 * Writes a label map of every image on the image's own grid, or predictions.csv where the weights classify, and tells how
 * fast it went. An image that cannot be used is told, and the rest goes on.
 * @returns the files written
 * @throws SemgenError BAD_OPTION, BAD_CHECKPOINT when weights are not fine-tuned or do not go together, NO_DATA, IO,
 *   NO_DEVICE; ABORTED through the signal
 */
export async function predict(
  asked: PredictOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<string[]> {
  const networks = await Promise.all(asked.weights.map(readFineTuned))
  if (networks.every(classifies)) return predictClasses(asked, networks, progress, signal)
  const recipes = networks.map(recipeOf)
  checkTaskOptions(predictOptions, asked, 'segment', asked.weights[0])
  const options = { ...asked, batch: batchFor(networks, asked.batch) }
  const recipe = recipes[0]!
  const other = recipes.findIndex((one) => JSON.stringify(essence(one)) !== JSON.stringify(essence(recipe)))
  if (other > 0)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${options.weights[other]} and ${options.weights[0]} do not go together: outputs, channels, patch or spacing differ.`,
    )
  const preparation = chosenPreparation(networks, options.modality, progress)
  const { files } = await findScans(options.images)
  const cases = groupedScans(files, recipe.shape.inputChannels, recipe.channels)
  const ending = options.format === 'nifti' ? '.nii.gz' : '.mha'
  const pathOf = (id: string, name = '') => join(options.out, `${id}${name}${ending}`)
  const taken = options.force ? undefined : [...cases.keys()].map((id) => pathOf(id)).find((path) => existsSync(path))
  if (taken)
    throw new SemgenError('BAD_OPTION', `${taken} is there already: --force replaces it, or give another --out.`)
  await mkdir(options.out, { recursive: true })
  const engine = openEngine(options)
  const { threads } = engine
  const steps = networks.map((stored) => stepOf(engine, stored, options.batch))
  const written: string[] = []
  let [predicted, voxels, seconds] = [0, 0, 0]
  const segmentAll = async (scratch: string) => {
    for (const [n, [id, of]] of [...cases].entries()) {
      // Numbered: an image may be called "..", and the folder is removed.
      const folder = join(scratch, String(n))
      try {
        const start = performance.now()
        const { channels, cohort } = await prepared(id, of, recipe, { ...preparation, threads }, folder, signal)
        if (options.modality === undefined) warnOfModality(cohort, preparation, progress)
        const image = await gridOf(of[0]!.path)
        const setting = { ...options, threads, folder, signal }
        const result = await segment(id, channels, steps, recipe, setting, progress)
        predicted += 1
        voxels += voxelCount(channels[0]!.shape)
        seconds += (performance.now() - start) / 1000
        const onGrid = <T extends Uint8Array | Float32Array>(data: T, empty: T) => ({
          ...image,
          data: toFile(data, channels[0]!.shape, image, empty),
        })
        const count = voxelCount(image.shape)
        await writeVolume(pathOf(id), onGrid(result.labels, new Uint8Array(count)))
        written.push(pathOf(id))
        for (const [o, { name }] of result.probabilities ? recipe.outputs.entries() : []) {
          const path = pathOf(id, `-${name.replace(/[^\w.-]+/g, '-')}`)
          await writeVolume(path, onGrid(result.probabilities!.read(o), new Float32Array(count)))
          written.push(path)
        }
      } catch (error) {
        if (!(error instanceof SemgenError) || !['BAD_FILE', 'UNSUPPORTED', 'NO_DATA'].includes(error.code)) throw error
        progress.warn(`Left out: ${error.message}`)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    }
  }
  try {
    await withScratch(options.out, segmentAll)
  } finally {
    for (const step of steps) step.dispose()
  }
  if (written.length === 0)
    throw new SemgenError('NO_DATA', `None of ${counted(cases.size, 'image')} could be predicted.`)
  progress.say(
    `${counted(predicted, 'image')} in ${duration(seconds)}: ${whole(Math.round(voxels / seconds))} voxels a second.`,
  )
  return written
}

const essence = ({ shape, outputs, spacing, channels }: Recipe) => [
  shape.patch,
  shape.inputChannels,
  outputs,
  spacing ?? null,
  channels ?? null,
]

function recipeOf({ path, usage, shape }: FineTuned): Recipe {
  const parsed = metadata.safeParse(usage)
  if (!parsed.success)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} holds no weights that segment: predict takes what a fine-tuning wrote.`,
    )
  const { outputs, spacing, channels } = parsed.data
  return { outputs, shape, spacing: spacing ?? undefined, channels: Array.isArray(channels) ? channels : undefined }
}

function stepOf(engine: Engine, { shape, values }: FineTuned, batch: number): PredictionStep {
  const network = new Network(engine, shape, 0)
  network.load(values)
  return new PredictionStep(network, { batch })
}

/** The channels of one image. @throws SemgenError BAD_FILE where they do not go together, or the weights take others */
async function prepared(
  id: string,
  files: readonly ScanFile[],
  { spacing, shape }: Recipe,
  preparation: Preparation & { readonly threads: number },
  folder: string,
  signal?: AbortSignal,
): Promise<{ readonly channels: readonly PreparedScan[]; readonly cohort: Cohort }> {
  const reasons: string[] = []
  const progress: Progress = { ...silent, warn: (line) => reasons.push(line.replace(/^Left out: /, '')) }
  const one = { id, paths: files.map(({ path }) => path) }
  try {
    const setting = { ...preparation, folder, spacing, progress, signal }
    const { volumes, cohort } = await preparedVolumes([one], setting)
    const { channels } = volumes[0]!
    if (channels.length === shape.inputChannels) return { channels, cohort }
    throw new SemgenError(
      'BAD_FILE',
      `${one.paths[0]} has ${counted(channels.length, 'channel')}, and the weights take ${shape.inputChannels}.`,
    )
  } catch (error) {
    if (reasons[0] && error instanceof SemgenError && error.code === 'NO_DATA')
      throw new SemgenError('BAD_FILE', reasons[0], { cause: error })
    throw error
  }
}

/** An image's grid alone: the voxels that were read with it are not held while it is predicted. */
async function gridOf(path: string): Promise<Pick<Volume, 'shape' | 'affine'>> {
  const { shape, affine } = await readVolume(path)
  return { shape, affine }
}

async function segment(
  id: string,
  channels: readonly PreparedScan[],
  steps: readonly PredictionStep[],
  { shape, outputs }: Recipe,
  options: BatchedOptions & {
    readonly threads: number
    readonly folder: string
    readonly signal?: AbortSignal | undefined
  },
  progress: Progress,
): Promise<{ labels: Uint8Array; probabilities: PlaneFiles | undefined }> {
  const { patch } = shape
  const extents = channels[0]!.shape
  const plane = extents[1] * extents[2]
  const labels = new Uint8Array(voxelCount(extents))
  const probabilities = options.probabilities ? new PlaneFiles(options.folder, outputs.length, plane) : undefined
  const write = labelWriter(outputs)
  const task = progress.begin(id, windowCount(extents, { patch, overlap: options.overlap }), 'windows')
  try {
    await slideWindows(
      channels,
      steps,
      {
        ...options,
        patch,
        outputs: outputs.length,
        advance: (windows) => task.advance(windows),
      },
      (x, found) => {
        for (let i = 0; i < plane; i++) labels[x * plane + i] = write(found, i * outputs.length)
        probabilities?.append(found)
      },
    )
  } finally {
    probabilities?.close()
    task.end()
  }
  return { labels, probabilities }
}
