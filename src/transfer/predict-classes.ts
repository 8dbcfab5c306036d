import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { z } from 'zod'
import { type PredictOptions, predictOptions } from '../config/index.js'
import { openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { writtenTable } from '../evaluation/table.js'
import type { Extents } from '../extents.js'
import { writeAtomically } from '../files.js'
import { counted, duration, figure } from '../format.js'
import { Network, type NetworkShape } from '../nn/index.js'
import type { Progress } from '../progress.js'
import { findScans } from '../volumes/index.js'
import { candidateImages } from './candidate-images.js'
import { calledOf, probabilitiesOf } from './class-measures.js'
import { Classifier } from './classification.js'
import { groupedScans } from './grouped-scans.js'
import { chosenPreparation, type Preparation, warnOfArchive, warnOfModality } from './intensities.js'
import type { FoundImages, ImageSetting, ReadyImage } from './labelled-images.js'
import { type Mirror, mirrorings } from './mirroring.js'
import { npzImages } from './npz-images.js'
import { preparedVolumes, type VolumeFiles } from './prepared-volumes.js'
import { withScratch } from './scratch.js'
import { checkTaskOptions } from './task-options.js'
import { type BatchedOptions, batchFor, type FineTuned } from './usage.js'
import { wholeImages } from './volume-images.js'

interface Recipe {
  readonly shape: NetworkShape
  readonly classes: readonly string[]
  readonly exclusive: boolean
  /** Of candidates: a cube about a place. */
  readonly fit: 'resize' | 'crop' | 'cube'
  readonly spacing: Extents | undefined
}

const triple = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()])
const metadata = z.object({
  task: z.literal('classification'),
  outputs: z.array(z.object({ name: z.string() })).min(1),
  exclusive: z.boolean(),
  fit: z.enum(['resize', 'crop', 'cube']),
  network: z.looseObject({ kind: z.literal('classifier') }),
  spacing: triple.nullable(),
})

/** Whether weights say that they classify. */
export const classifies = ({ usage }: FineTuned): boolean => usage.task === 'classification'

/**
 * Writes predictions.csv: a row an image with the probability of each class, the class that is called (of findings all
 * above one half, with bars between them), and, of a .npz with labels, the true one. Of candidates of two classes, as
 * LUNA16's, also marks.csv: their places, with the probability of the second class. `evaluate` reads both.
 * @returns the files written
 * @throws SemgenError BAD_OPTION, BAD_CHECKPOINT when weights do not go together, BAD_FILE, NO_DATA, IO, NO_DEVICE;
 *   ABORTED through the signal
 */
export async function predictClasses(
  asked: PredictOptions,
  networks: readonly FineTuned[],
  progress: Progress,
  signal?: AbortSignal,
): Promise<string[]> {
  const recipes = networks.map(recipeOf)
  checkTaskOptions(predictOptions, asked, 'classify', asked.weights[0])
  const options = { ...asked, batch: batchFor(networks, asked.batch) }
  const recipe = recipes[0]!
  const other = recipes.findIndex((one) => JSON.stringify(essence(one)) !== JSON.stringify(essence(recipe)))
  if (other > 0)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${options.weights[other]} and ${options.weights[0]} do not go together: classes, channels, patch or spacing differ.`,
    )
  const [path, marksPath] = [join(options.out, 'predictions.csv'), join(options.out, 'marks.csv')]
  const preparation = chosenPreparation(networks, options.modality, progress)
  const taken = [path, marksPath].find((file) => existsSync(file))
  if (taken !== undefined && !options.force)
    throw new SemgenError('BAD_OPTION', `${taken} is there already: --force replaces it, or give another --out.`)
  await mkdir(options.out, { recursive: true })
  const engine = openEngine(options)
  const classifiers = networks.map(({ shape, values }) => {
    const network = new Network(engine, shape, 0)
    network.load(values)
    return new Classifier(network, options.batch, engine.threads)
  })
  const rows: (readonly (string | number | undefined)[])[] = []
  const marks: (readonly (string | number)[])[] = []
  const started = performance.now()
  const classify = async (cache: string) => {
    for await (const images of imagesOf(options, recipe, preparation, cache, progress, signal)) {
      const task = progress.begin(
        'Classifying',
        images.length * classifiers.length * mirrorings[options.mirror].length,
        'images',
      )
      try {
        const probabilities = await averaged(
          classifiers,
          images,
          recipe,
          options.mirror,
          (n) => task.advance(n),
          signal,
        )
        // One by one: all of LUNA16's candidates would be too many arguments for one call.
        for (const row of rowsOf(images, recipe, probabilities)) rows.push(row)
        for (const mark of marksOf(images, recipe, probabilities)) marks.push(mark)
      } finally {
        task.end()
      }
    }
  }
  try {
    await withScratch(options.out, classify)
  } finally {
    for (const classifier of classifiers) classifier.dispose()
  }
  if (rows.length === 0)
    throw new SemgenError('NO_DATA', `No image of ${options.images.join(', ')} could be classified.`)
  const known = rows.some((row) => row.at(-1) !== undefined)
  const columns = [
    'image',
    ...recipe.classes.map((name) => `probability_${name}`),
    'predicted',
    ...(known ? ['label'] : []),
  ]
  await writeAtomically(path, writtenTable(columns, known ? rows : rows.map((row) => row.slice(0, -1))))
  // What an earlier prediction left would not belong to this one.
  await rm(marksPath, { force: true })
  if (marks.length > 0)
    await writeAtomically(marksPath, writtenTable(['seriesuid', 'coordX', 'coordY', 'coordZ', 'probability'], marks))
  const seconds = (performance.now() - started) / 1000
  progress.say(
    `${counted(rows.length, 'image')} in ${duration(seconds)}: ${figure(rows.length / seconds)} images a second.`,
  )
  return marks.length > 0 ? [path, marksPath] : [path]
}

const essence = ({ shape, classes, exclusive, fit, spacing }: Recipe) => [
  shape.patch,
  shape.inputChannels,
  classes,
  exclusive,
  fit,
  spacing ?? null,
]

function recipeOf({ path, usage, shape }: FineTuned): Recipe {
  const parsed = metadata.safeParse(usage)
  if (!parsed.success)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} holds no weights that classify: ${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}.`,
    )
  const { outputs, exclusive, fit, spacing } = parsed.data
  return {
    shape,
    classes: outputs.map(({ name }) => name),
    exclusive,
    fit,
    spacing: spacing ?? undefined,
  }
}

/** The images, as many at a time as their form allows. */
async function* imagesOf(
  options: BatchedOptions,
  { shape, fit, spacing }: Recipe,
  preparation: Preparation,
  folder: string,
  progress: Progress,
  signal?: AbortSignal,
): AsyncGenerator<readonly ReadyImage[]> {
  const { images, part, candidates, threads = availableParallelism() } = options
  const archives = images.filter((path) => /\.npz$/i.test(path))
  if (part !== undefined && archives.length === 0)
    throw new SemgenError('BAD_OPTION', '--part is for a .npz, and none is among the images.')
  if ((candidates !== undefined) !== (fit === 'cube'))
    throw new SemgenError(
      'BAD_OPTION',
      fit === 'cube'
        ? `${options.weights[0]} tells the surroundings of places apart: --candidates names these.`
        : `${options.weights[0]} tells whole images apart, and no places in them: leave --candidates away.`,
    )
  if (archives.length > 0 && (images.length > 1 || candidates !== undefined))
    throw new SemgenError('BAD_OPTION', `${archives[0]} goes alone: predict takes one .npz, or other images.`)
  const setting: ImageSetting = {
    fit: fit === 'crop' ? 'crop' : 'resize',
    spacing,
    ...preparation,
    seed: 0,
    folder,
    threads,
    progress,
    signal,
  }
  const checked = (found: FoundImages, name: string): FoundImages => {
    if (found.channels === shape.inputChannels) return found
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${options.weights[0]} takes images of ${counted(shape.inputChannels, 'channel')}, and those of ${name} have ${found.channels}.`,
    )
  }
  if (archives[0] !== undefined) {
    warnOfArchive(archives[0], options.weights[0]!, preparation, progress)
    const found = checked(await npzImages(archives[0], [part ?? 'test'], false, setting), archives[0])
    yield await found.ready(shape.patch, found.images)
  } else if (candidates !== undefined) {
    const { found, cohort } = await candidateImages(images, candidates, false, setting)
    if (options.modality === undefined) warnOfModality(cohort, preparation, progress)
    yield await checked(found, candidates).ready(shape.patch, found.images)
  } else yield* volumesOf(options, shape, preparation, setting)
}

/** Batches of whole images, each prepared by itself and removed when its batch is done. */
async function* volumesOf(
  { images, batch, modality }: BatchedOptions,
  { patch, inputChannels }: NetworkShape,
  preparation: Preparation,
  setting: ImageSetting,
): AsyncGenerator<readonly ReadyImage[]> {
  const { files } = await findScans(images)
  const all = [...groupedScans(files, inputChannels)]
  for (let first = 0; first < all.length; first += batch) {
    const ready: ReadyImage[] = []
    for (const [i, [id, scans]] of all.slice(first, first + batch).entries()) {
      const one: VolumeFiles = { id, paths: scans.map(({ path }) => path) }
      try {
        const own = { ...setting, folder: join(setting.folder, String(i)) }
        const prepared = await preparedVolumes([one], own)
        if (modality === undefined) warnOfModality(prepared.cohort, preparation, setting.progress)
        const found = wholeImages(prepared, { classes: [], exclusive: true }, () => undefined, own)
        if (found.channels !== inputChannels)
          throw new SemgenError(
            'BAD_FILE',
            `${one.paths[0]} has ${counted(found.channels, 'channel')}, and the weights take ${inputChannels}.`,
          )
        ready.push(...(await found.ready(patch, found.images)))
      } catch (error) {
        if (!(error instanceof SemgenError) || !['BAD_FILE', 'UNSUPPORTED', 'NO_DATA'].includes(error.code)) throw error
        setting.progress.warn(`Left out: ${error.message}`)
      }
    }
    if (ready.length > 0) yield ready
    await rm(setting.folder, { recursive: true, force: true })
  }
}

/** The mean of what all networks say of all mirrorings. */
async function averaged(
  classifiers: readonly Classifier[],
  images: readonly ReadyImage[],
  { classes, exclusive }: Recipe,
  mirror: Mirror,
  advance: (images: number) => void,
  signal?: AbortSignal,
): Promise<Float64Array> {
  const ways = mirrorings[mirror]
  const sums = new Float64Array(images.length * classes.length)
  for (const classifier of classifiers)
    for (const signs of ways) {
      const logits = await classifier.logits(images, signal, advance, signs)
      probabilitiesOf(logits, classes.length, exclusive).forEach((p, i) => {
        sums[i]! += p / (classifiers.length * ways.length)
      })
    }
  return sums
}

function rowsOf(images: readonly ReadyImage[], { classes, exclusive }: Recipe, probabilities: Float64Array) {
  return images.map(({ id, truth }, i) => {
    const named = (of: readonly number[]) => of.map((c) => classes[c] ?? String(c)).join('|')
    const own = probabilities.subarray(i * classes.length, (i + 1) * classes.length)
    const called = named(calledOf({ classes, exclusive, probabilities }, i))
    return [id, ...own, called, exclusive && truth ? named(truth) : undefined]
  })
}

/** Of candidates of two classes: where they are, and how likely they are of the second. */
function marksOf(images: readonly ReadyImage[], { classes }: Recipe, probabilities: Float64Array) {
  if (classes.length !== 2) return []
  return images.flatMap(({ candidate }, i) =>
    candidate ? [[candidate.seriesuid, ...candidate.point, probabilities[2 * i + 1]!]] : [],
  )
}
