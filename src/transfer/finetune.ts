import { performance } from 'node:perf_hooks'
import { type FinetuneOptions, finetuneOptions } from '../config/index.js'
import { type Engine, openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { extentsText } from '../extents.js'
import { writeAtomically } from '../files.js'
import { counted, duration, figure } from '../format.js'
import { Network, type NetworkShape } from '../nn/index.js'
import { type Progress, silent } from '../progress.js'
import { Random } from '../random.js'
import { fingerprint } from '../training/checkpoint.js'
import { type Job, runJob } from '../training/job.js'
import { environmentOf, resumedOptions } from '../training/run-config.js'
import { clearRunFolder, openRunFolder, type RunFiles, runFiles } from '../training/run-folder.js'
import { intensitiesOf } from '../training/scans.js'
import { describeSchedule } from '../training/schedule.js'
import { programVersion } from '../version.js'
import { writeCohort } from '../volumes/index.js'
import { fitLines, loadPartly, openWeights, sizeOfWeights, type WeightsFile } from '../weights/index.js'
import { describeUnpaired, findCases } from './cases.js'
import { type FinetuneConfig, readFinetuneConfig, writeFinetuneConfig } from './finetune-config.js'
import { makeFinetunePlan, measureParts } from './finetune-plan.js'
import { type SegmentationOutput, segmentationOutputs } from './outputs.js'
import { type PreparedCase, prepareCases } from './prepared-cases.js'
import { CaseValidation, meanDice, type Segmentation, segmentationParts } from './segmentation.js'

/** What several runs on the same cases have in common. */
export interface SharedData {
  /** Folder of the prepared cases; a run's own unless told. */
  readonly cache?: string
  /** What the parts are drawn by, where no list names them; the run's seed unless told. */
  readonly splitSeed?: number
}

/** What a fine-tuning reached. */
export interface FinetuneResult {
  /** The weights to use. */
  readonly weights: string
  /** Mean Dice over held-out cases and outputs. */
  readonly validation: number
  /** Training cases whose labels were used. */
  readonly labelledCases: number
  /** The same over the test part, which nothing was chosen by, and by output; absent where there is none. */
  readonly test?: { readonly dice: number; readonly byOutput: Readonly<Record<string, number>>; readonly cases: number }
}

/**
 * Trains a U-Net to segment, from scratch or from pre-trained weights. The run's folder gets config.json, metrics.jsonl,
 * last and best.safetensors, result.json. A run that was stopped or killed goes on with `resume`, to the same bits.
 * @throws SemgenError BAD_OPTION, BAD_FILE, NO_DATA, NO_DEVICE, DIVERGED, IO, BAD_CHECKPOINT; ABORTED through the signal
 */
export async function finetune(
  asked: FinetuneOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
  shared: SharedData = {},
): Promise<FinetuneResult> {
  const started = performance.now()
  const files = { ...runFiles(asked.out), ...(shared.cache ? { cache: shared.cache } : {}) }
  const goingOn = await openRunFolder(asked.out, asked)
  if (asked.resume && !goingOn) progress.say(`There is nothing to go on with in ${asked.out} yet: a run begins.`)
  const saved = goingOn ? await readFinetuneConfig(files.config) : undefined
  const options = saved ? resumedOptions(finetuneOptions, saved.options, asked) : asked
  const engine = openEngine({ ...options, ...(saved ? { precision: saved.environment.precision as 'fp32' } : {}) })
  if (asked.force) await clearRunFolder(asked.out)
  let config: FinetuneConfig = saved
    ? { ...saved, options }
    : { created: new Date().toISOString(), options, environment: environmentOf(engine) }

  const data = await labelledCases(options, files, shared.splitSeed ?? options.seed, progress, signal)
  const outputs = config.outputs ?? segmentationOutputs(options.labels, data.labels)
  if (outputs.length === 0)
    throw new SemgenError('NO_DATA', `${options.data}: no training case has a voxel with a label above 0.`)
  const shape = config.network ?? (await networkFor(options, data, outputs))
  const network = new Network(engine, shape, options.seed)
  if (options.init !== 'scratch')
    await withWeights(options.init, async (file) => {
      for (const line of fitLines(await loadPartly(file, network))) progress.say(line)
    })
  const segmentation = segmentationOf(options, engine, network, outputs, data)
  const left = options.maxTime && options.maxTime - (performance.now() - started) / 1000
  const plan =
    config.plan ??
    makeFinetunePlan(options, {
      trainingCases: data.training.length,
      validationCases: data.validation.length,
      seconds: left,
      cost: options.maxTime === undefined ? undefined : await measureParts(segmentation, signal),
    })
  config = { ...config, outputs, network: shape, plan }
  await writeFinetuneConfig(files.config, config)
  describe(config, data, progress)

  const { epochs, stepsPerEpoch } = plan.stages[0]!
  const job: Job = {
    network,
    plan,
    open: () => segmentationParts(segmentation),
    files,
    fingerprint: fingerprint({
      network: shape,
      plan,
      options: deciding.map((key) => options[key] ?? null),
      precision: engine.precision,
      cases: data.identity,
    }),
    usage: {
      program: `semgen-native ${programVersion()}`,
      task: 'segmentation',
      outputs,
      init: options.init,
      patch: shape.patch,
      norm: shape.norm,
      spacing: options.spacing ?? null,
      intensities: intensitiesOf(data.training.flatMap(({ channels }) => channels)),
    },
    checkpointSeconds: options.checkpointEvery,
  }
  const state = await runJob(job, goingOn, progress, signal)
  const validation = state.results[0]!.figures.dice!
  progress.say(
    `Best after epoch ${state.results[0]!.epoch} of ${state.results[0]!.epochs} (of ${epochs} with ${stepsPerEpoch} steps each), ` +
      `in ${duration(state.seconds)}: mean Dice ${figure(validation)} on ${counted(data.validation.length, 'held-out case')}.`,
  )
  const test = await tested(segmentation, data.test, progress, signal)
  const result: FinetuneResult = {
    weights: files.best,
    validation,
    labelledCases: data.training.length,
    ...(test ? { test } : {}),
  }
  await writeAtomically(`${asked.out}/result.json`, `${JSON.stringify(result, null, 1)}\n`)
  return result
}

/** The options that decide a run's bits beside its plan. */
const deciding = ['init', 'freeze', 'labelFraction', 'loss', 'augment', 'foreground', 'overlap', 'seed'] as const

/** Weights of any format, open while `use` works with them. */
async function withWeights<T>(path: string, use: (file: WeightsFile) => Promise<T>): Promise<T> {
  const file = await openWeights(path)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

interface Data {
  readonly training: readonly PreparedCase[]
  readonly validation: readonly PreparedCase[]
  readonly test: readonly PreparedCase[]
  /** Labels of the training part, but 0. */
  readonly labels: readonly number[]
  readonly identity: unknown
}

async function labelledCases(
  options: FinetuneOptions,
  files: RunFiles,
  splitSeed: number,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Data> {
  const { cases: found, notes, unpaired } = await findCases(options.data)
  for (const note of notes) progress.say(note)
  const left = describeUnpaired(unpaired)
  if (left) progress.warn(left)
  const { cases, cohort, identity } = await prepareCases(
    found,
    { ...options, seed: splitSeed, folder: files.cache },
    progress,
    signal,
  )
  await writeCohort(files.cohort, cohort)
  const part = (name: PreparedCase['split']) => cases.filter(({ split }) => split === name)
  const [all, validation, test] = [part('train'), part('validation'), part('test')]
  if (all.length === 0 || validation.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${options.data} has ${counted(all.length, 'usable case')} to train with and ${validation.length} to validate with: at least one of each is needed, see --split.`,
    )
  const order = new Random(options.seed, 'label-fraction').permutation(all.length)
  const used = Math.max(1, Math.round(options.labelFraction * all.length))
  const training = all.filter((_, i) => order.indexOf(i) < used)
  if (used < all.length) progress.say(`Labels: those of ${used} of ${all.length} training cases (--label-fraction).`)
  const labels = [...new Set(training.flatMap(({ places }) => [...places.keys()]))].sort((a, b) => a - b)
  for (const { id, places } of [...validation, ...test]) {
    const unseen = [...places.keys()].filter((label) => !labels.includes(label))
    if (unseen.length > 0 && options.labels === undefined)
      throw new SemgenError(
        'BAD_FILE',
        `Case ${id} has voxels of label ${unseen.join(', ')}, which no training case has (${labels.join(', ') || 'none'}): choose what to segment with --labels.`,
      )
  }
  return { training, validation, test, labels, identity }
}

async function networkFor(
  options: FinetuneOptions,
  { training }: Data,
  outputs: readonly SegmentationOutput[],
): Promise<NetworkShape> {
  const start: Partial<NetworkShape> =
    options.init === 'scratch' ? {} : await withWeights(options.init, async (file) => sizeOfWeights(file) ?? {})
  const wished = options.depth ?? start.depth
  const patch = options.patch ?? patchFor(training, wished ?? 4)
  const depth = wished ?? depthFor(patch)
  return {
    kind: 'u-net',
    baseWidth: options.baseWidth ?? start.baseWidth ?? 16,
    depth,
    inputChannels: training[0]!.channels.length,
    outputChannels: outputs.length,
    classes: 0,
    patch,
    skips: true,
    norm: options.norm,
  }
}

/** The median image along each axis, in whole numbers of what the depth halves, at most the published patch. */
function patchFor(cases: readonly PreparedCase[], depth: number): NetworkShape['patch'] {
  const step = 2 ** (depth - 1)
  const most = [64, 64, 64]
  return most.map((limit, axis) => {
    const extents = cases.map(({ channels }) => channels[0]!.shape[axis]!).sort((a, b) => a - b)
    const median = extents[extents.length >> 1]!
    return Math.max(step, Math.min(limit, Math.floor(median / step) * step))
  }) as unknown as NetworkShape['patch']
}

/** As many levels as leave four voxels at the bottom, at most the published four. */
function depthFor(patch: NetworkShape['patch']): number {
  let depth = 2
  while (depth < 4 && patch.every((extent) => extent % 2 ** depth === 0 && extent / 2 ** depth >= 4)) depth++
  return depth
}

function segmentationOf(
  options: FinetuneOptions,
  engine: Engine,
  network: Network,
  outputs: readonly SegmentationOutput[],
  { training, validation }: Data,
): Segmentation {
  const { augment } = options
  if (augment.includes('none') && augment.length > 1)
    throw new SemgenError('BAD_OPTION', '--augment takes none, or what is to happen, and not both.')
  return {
    network,
    outputs,
    training,
    validation,
    batch: options.batch,
    loss: { dice: 1, crossEntropy: options.loss === 'dice' ? 0 : 1 },
    augment: augment.filter((name) => name !== 'none'),
    foreground: options.foreground,
    overlap: options.overlap,
    frozen: options.freeze === 'encoder' ? /^down_tr/ : undefined,
    normMomentum: 0.1,
    seed: options.seed,
    threads: engine.threads,
  }
}

function describe({ network, outputs, plan, options }: FinetuneConfig, data: Data, progress: Progress): void {
  const { epochs, stepsPerEpoch } = plan!.stages[0]!
  progress.say(
    `Cases: ${data.training.length} to train with, ${data.validation.length} held out, ${data.test.length} for testing; ` +
      `${counted(network!.inputChannels, 'channel')}; outputs: ${outputs!.map(({ name }) => name).join(', ')}.`,
  )
  progress.say(
    `Network: u-net, base width ${network!.baseWidth}, depth ${network!.depth}, patch ${extentsText(network!.patch)}, from ${options.init}.`,
  )
  progress.say(
    `At most ${counted(epochs, 'epoch')} of ${counted(stepsPerEpoch, 'step')}, batches of ${plan!.batch}; ${describeSchedule(plan!.stages[0]!.schedule)}; ` +
      `it ends early after ${counted(plan!.patience, 'validation')} without a better one.`,
  )
}

async function tested(
  of: Segmentation,
  cases: readonly PreparedCase[],
  progress: Progress,
  signal?: AbortSignal,
): Promise<FinetuneResult['test']> {
  if (cases.length === 0) return undefined
  const validation = new CaseValidation(of)
  try {
    const all = await validation.compare(cases, signal)
    const byOutput = Object.fromEntries(of.outputs.map(({ name }, o) => [name, meanDice(all, o)]))
    const dice = meanDice(all)
    const each = Object.entries(byOutput).map(([name, value]) => `${name} ${figure(value)}`)
    progress.say(`Test part, ${counted(cases.length, 'case')}: mean Dice ${figure(dice)} (${each.join(', ')}).`)
    return { dice, byOutput, cases: cases.length }
  } finally {
    validation.dispose()
  }
}
