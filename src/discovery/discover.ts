import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { counted } from '../format.js'
import { measureFlops } from '../learning/rate.js'
import { memoryLimit } from '../memory.js'
import { latentWidth } from '../nn/index.js'
import type { Progress } from '../progress.js'
import type { PreparedCohort, PreparedScan } from '../volumes/index.js'
import { chooseClasses, chooseNeighbours, choosePatch, chooseValidationNeighbours, describeChoice } from './choose.js'
import { type Company, drawPlaces } from './coordinates.js'
import { classCrops } from './crops.js'
import { type Embedder, embed, trainEmbedding } from './embedding.js'
import { embeddingFingerprint } from './embedding-checkpoint.js'
import { describeEmbedding, embeddingDepth, nominalFlops, planEmbedding, timedPlan } from './embedding-plan.js'
import { makeFrame } from './frame.js'
import { drawMontages } from './montage.js'
import { type Latents, type Neighbour, NeighbourLists, nearestScans, nearestSummary } from './neighbours.js'
import type { DiscoveryOptions } from './options.js'
import { type PatternClass, type PatternSet, writePatterns } from './patterns.js'
import { startingRules } from './rules.js'

/** Seconds between two checkpoints of the auto-encoder. */
const checkpointSeconds = 60
/** The part of the machine's memory that a step of the auto-encoder may use. */
const memoryPart = 0.4

/**
 * Discovers anatomical patterns in prepared scans: trains an auto-encoder on whole scans, draws places in reference scans,
 * and collects each place out of the scans nearest to its reference. Everything that was chosen is told through `progress`
 * and kept in the set's notes.
 *
 * Leaves in `folder`: embedding.safetensors (from which an interrupted discovery goes on), patterns.json, and a picture of
 * every pattern in montages/. The same seed and scans give the same set on the same kind of machine.
 * @throws SemgenError NO_DATA with fewer than two training scans, BAD_OPTION, BAD_CHECKPOINT, DIVERGED, OUT_OF_MEMORY, IO;
 *   whatever the signal was aborted with
 */
export async function discover(
  prepared: PreparedCohort,
  engine: Engine,
  options: DiscoveryOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
  folder: string,
): Promise<PatternSet> {
  const train = prepared.scans.filter(({ split }) => split === 'train')
  const validation = prepared.scans.filter(({ split }) => split === 'validation')
  checkCohort(train, options)
  if (validation.length === 0)
    progress.warn('No scan is held out: the patterns get no validation crops, and --split keeps none back.')
  await mkdir(folder, { recursive: true })

  const frame = makeFrame(options.frame, options.patch ?? choosePatch(train), train)
  const rules = startingRules(frame, options)
  const wanted = options.classes ?? chooseClasses(frame, rules, train)
  const neighbours = Math.min(options.neighbours ?? chooseNeighbours(train.length), train.length)
  const held = Math.min(
    options.validationNeighbours ?? chooseValidationNeighbours(validation.length),
    validation.length,
  )
  const counts = { neighbours, validationNeighbours: held, train: train.length, validation: validation.length }
  const notes: string[] = []
  const say = (line: string) => {
    notes.push(line)
    progress.say(line)
  }
  for (const line of describeChoice(options, frame, rules, { classes: wanted, ...counts })) say(line)

  const embedder = await trained(engine, train, validation, options, say, progress, signal, folder)
  const width = latentWidth(embedder.network.shape)
  const latents = async (scans: readonly PreparedScan[]): Promise<Latents> => ({
    values: await embed(embedder, scans, options.threads, progress, signal),
    width,
  })
  const trainLatents = await latents(train)
  const validationLatents = await latents(validation)

  // More than wanted, because scans that have no instance of a pattern are passed over.
  const near = new NeighbourLists(engine, trainLatents, 2 * neighbours + 8)
  const company: Company = { of: (reference, soon) => near.of(reference, soon), wanted: neighbours }
  const drawn = await drawPlaces(frame, train, company, rules, wanted, options.seed, progress, signal)
  for (const note of drawn.notes) say(note)
  if (drawn.places.length < wanted)
    say(`Only ${drawn.places.length} of ${wanted} patterns found a place of their own in these scans.`)
  if (drawn.places.length < 2)
    throw new SemgenError(
      'NO_DATA',
      `These scans have room for ${counted(drawn.places.length, 'pattern')} of ${frame.patch.join(' x ')} voxels and two are needed: use a smaller --patch.`,
    )

  const references = drawn.places.map(({ reference }) => reference)
  const nearHeld = await nearestScans(engine, trainLatents, references, validationLatents, 2 * held + 8)
  const { seed } = options
  const nearTrain = await Promise.all(references.map((reference) => near.of(reference)))
  const classes = drawn.places.map((place, label): PatternClass => {
    const part = (split: 'train' | 'validation', nearest: readonly Neighbour[], count: number) =>
      classCrops({ ...place, label }, nearest, split === 'train' ? train : validation, frame, { split, count, seed })
    return {
      reference: train[place.reference]!.id,
      coordinate: [...place.coordinate],
      crops: [...part('train', nearTrain[label]!, neighbours), ...part('validation', nearHeld[label]!, held)],
    }
  })
  tellInstances(classes, counts, say)

  const ids = train.map(({ id }) => id)
  const patterns: PatternSet = {
    version: 1,
    seed: options.seed,
    patch: [...frame.patch],
    frame: frame.name,
    ...(frame.name === 'body' ? { millimetres: [...frame.millimetres] as [number, number, number] } : {}),
    scans: usedScans(classes, prepared.scans),
    classes,
    embedding: {
      network: { ...embedder.plan.network },
      latent: width,
      epochs: embedder.epochs,
      bestEpoch: embedder.bestEpoch,
      loss: embedder.loss,
      nearest: await nearestSummary(engine, trainLatents, ids, references),
    },
    notes,
  }
  await drawMontages(patterns, prepared.scans, join(folder, 'montages'), progress, signal)
  await writePatterns(join(folder, 'patterns.json'), patterns)
  return patterns
}

/** @throws SemgenError NO_DATA with fewer than two training scans, BAD_OPTION */
export function checkCohort(
  train: readonly PreparedScan[],
  { patch, embeddingInput }: Pick<DiscoveryOptions, 'patch' | 'embeddingInput'>,
): void {
  if (train.length < 2)
    throw new SemgenError(
      'NO_DATA',
      `Patterns are what scans have in common: at least two training scans are needed, and there ${train.length === 1 ? 'is one' : 'are none'}.`,
    )
  if (patch?.some((extent) => !Number.isInteger(extent) || extent < 4 || extent > 512))
    throw new SemgenError(
      'BAD_OPTION',
      `--patch takes three whole numbers from 4 to 512, such as 64x64x32, not ${patch.join('x')}.`,
    )
  const step = 2 ** (embeddingDepth - 1)
  if (embeddingInput?.some((extent) => extent % step !== 0))
    throw new SemgenError(
      'BAD_OPTION',
      `--embedding-input takes extents that are multiples of ${step}, not ${embeddingInput.join('x')}.`,
    )
}

/** The auto-encoder: trained, gone on with, or loaded. */
async function trained(
  engine: Engine,
  train: readonly PreparedScan[],
  validation: readonly PreparedScan[],
  options: DiscoveryOptions,
  say: (line: string) => void,
  progress: Progress,
  signal: AbortSignal | undefined,
  folder: string,
): Promise<Embedder> {
  const { seed, embeddingWidth, embeddingInput, embeddingEpochs, embeddingSkips, embeddingBatch, maxTime } = options
  const asked = { seed, embeddingWidth, embeddingInput, embeddingEpochs, embeddingSkips, embeddingBatch }
  const path = join(folder, 'embedding.safetensors')
  const resume = options.resume ?? false
  if (!resume && existsSync(path)) await rm(path)
  const memory = memoryPart * memoryLimit()
  const embedder = await trainEmbedding(
    {
      engine,
      seed,
      train,
      validation,
      path,
      fingerprint: embeddingFingerprint([...train, ...validation], {
        ...asked,
        precision: engine.precision,
        tiles: engine.tiles?.digest,
      }),
      checkpointSeconds,
      threads: options.threads,
    },
    resume,
    async () => {
      // Without a time limit nothing is measured, so that the same seed gives the same patterns.
      const rate = maxTime === undefined ? nominalFlops(engine) : await measureFlops(engine, signal)
      const plan = planEmbedding(options, { train, validation, device: engine.device, rate, memory })
      return maxTime !== undefined && embeddingEpochs === undefined
        ? timedPlan(engine, plan, validation.length, maxTime, signal)
        : plan
    },
    (plan) => describeEmbedding(plan, options, memory).forEach(say),
    progress,
    signal,
  )
  const { epochs, bestEpoch, loss } = embedder
  say(
    `Auto-encoder: ${counted(epochs, 'epoch')} trained, the best after ${bestEpoch}: error ${loss.toExponential(2)} ` +
      `on ${validation.length > 0 ? counted(validation.length, 'held-out scan') : 'the training scans'}.`,
  )
  return embedder
}

/** Scans passed over leave some classes with fewer instances: said, not hidden. */
function tellInstances(
  classes: readonly PatternClass[],
  wanted: { readonly neighbours: number; readonly validationNeighbours: number },
  say: (line: string) => void,
): void {
  const instances = (split: 'train' | 'validation') =>
    classes.map(({ crops }) => crops.filter((crop) => crop.split === split && crop.resolution === 0).length)
  const train = instances('train')
  const short = train.filter((count) => count < wanted.neighbours).length
  const crops = classes.reduce((sum, { crops }) => sum + crops.filter(({ split }) => split === 'train').length, 0)
  const held = classes.reduce((sum, { crops }) => sum + crops.filter(({ split }) => split === 'validation').length, 0)
  say(
    `Found ${counted(classes.length, 'pattern')}: ${counted(crops, 'training crop')} and ${counted(held, 'held-out crop')}.`,
  )
  if (short > 0)
    say(
      `${counted(short, 'pattern')} ${short === 1 ? 'has' : 'have'} fewer than ${wanted.neighbours} training scans (fewest: ${Math.min(...train)}): others are too small there, or show something else.`,
    )
}

function usedScans(classes: readonly PatternClass[], scans: readonly PreparedScan[]): PatternSet['scans'] {
  const used = new Set(classes.flatMap(({ crops }) => crops.map(({ scan }) => scan)))
  return scans.filter(({ id }) => used.has(id)).map(({ id, shape }) => ({ id, shape: [...shape] }))
}
