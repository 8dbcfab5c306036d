import { existsSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { type CompareOptions, type FinetuneOptions, finetuneOptions, resumedOptions } from '../config/index.js'
import { extentsText } from '../extents.js'
import { writeAtomically } from '../files.js'
import { counted, duration } from '../format.js'
import { describeSchedule } from '../learning/schedule.js'
import { checkShape, Network, type NetworkShape } from '../nn/index.js'
import { type Progress, silent } from '../progress.js'
import type { TestFigures } from '../report/run-files.js'
import { fingerprint } from '../training/checkpoint.js'
import { type Job, runJob } from '../training/job.js'
import { MetricsLog } from '../training/metrics-log.js'
import type { TrainingPlan } from '../training/plan.js'
import { environmentOf } from '../training/run-config.js'
import { engineOf } from '../training/run-engine.js'
import { type Inputs, openRunFolder, type RunFiles, type RunFolder, runFiles } from '../training/run-folder.js'
import { programVersion } from '../version.js'
import { writeCohort } from '../volumes/index.js'
import { fitLines, fitWeights, loadPartly, openWeights, sizeOfWeights, type WeightsFile } from '../weights/index.js'
import { classificationTask } from './classification-task.js'
import { type FinetuneConfig, readFinetuneConfig, writeFinetuneConfig } from './finetune-config.js'
import { cutLines, makeFinetunePlan, measureParts } from './finetune-plan.js'
import { segmentationTask } from './segmentation-task.js'
import type { Measure, OpenTask, TargetTask } from './target-task.js'
import { checkFinetuneOptions } from './task-options.js'

/** What several runs on the same cases have in common. */
export interface SharedData {
  /** Folder of the prepared cases; a run's own unless told. */
  readonly cache?: string
  /** What the parts are drawn by, where no list names them; the run's seed unless told. */
  readonly splitSeed?: number
  /** Called where the run has no plan yet; gives the one to follow: what `make` gives, or that of a run before it. */
  readonly plan?: (make: () => Promise<TrainingPlan>) => Promise<TrainingPlan>
}

/** What a fine-tuning reached. */
export interface FinetuneResult {
  /** The weights to use. */
  readonly weights: string
  /** What it is told by: mean Dice, or AUC. */
  readonly measure: Measure
  /** That measure on held-out cases, of the best validation. */
  readonly validation: number
  /** Training cases whose labels were used. */
  readonly labelledCases: number
  /** Figures on the test part, which nothing was chosen by; absent where there is none. */
  readonly test?: TestFigures
}

/**
 * Trains a network for a target task, from scratch or from pre-trained weights. The run's folder gets config.json,
 * metrics.jsonl, last and best.safetensors, result.json. A run that was stopped or killed goes on with `resume`, to the
 * same bits.
 * @throws SemgenError BAD_OPTION, BAD_FILE, NO_DATA, NO_DEVICE, DIVERGED, IO, BAD_CHECKPOINT; ABORTED through the signal
 */
export async function finetune(
  asked: FinetuneOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
  shared: SharedData = {},
): Promise<FinetuneResult> {
  const folder = await openRunFolder(asked.out, asked, inputsOf(asked))
  try {
    return await finetuneIn(folder, asked, progress, signal, shared)
  } finally {
    folder.close()
  }
}

/**
 * Opens all that fine-tunings read, as far as that can be done beforehand: the cases, and every start, which must fit the
 * network. Nothing is written but prepared cases.
 * @throws SemgenError as finetune does before it begins
 */
export async function checkStarts(
  options: FinetuneOptions,
  starts: Iterable<string>,
  progress: Progress,
  signal: AbortSignal | undefined,
  shared: SharedData,
): Promise<void> {
  engineOf(options, undefined, progress)
  const task = await taskOf(options, filesOf(options.out, shared), progress, signal, shared)
  for (const init of starts) {
    const shape = task.shapeFor(await startSize(init))
    checkShape(shape)
    if (init !== 'scratch') await withWeights(init, (file) => fitWeights(file, shape))
  }
}

/** What a fine-tuning reads, by option. */
export function inputsOf({ data, candidates, init, tiles }: FinetuneOptions | CompareOptions): Inputs {
  return { data, candidates, init: [init].flat().filter((start) => start !== 'scratch'), tiles }
}

const filesOf = (out: string, { cache }: SharedData): RunFiles => ({ ...runFiles(out), ...(cache ? { cache } : {}) })

async function taskOf(
  options: FinetuneOptions,
  files: RunFiles,
  progress: Progress,
  signal: AbortSignal | undefined,
  shared: SharedData,
): Promise<TargetTask> {
  const setting = { options, files, splitSeed: shared.splitSeed ?? options.seed, progress, signal }
  return options.task === 'classify' ? classificationTask(setting) : segmentationTask(setting)
}

async function finetuneIn(
  folder: RunFolder,
  asked: FinetuneOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
  shared: SharedData,
): Promise<FinetuneResult> {
  const started = performance.now()
  const files = filesOf(asked.out, shared)
  const { goingOn } = folder
  if (asked.resume && !goingOn) progress.say(`There is nothing to go on with in ${asked.out} yet: a run begins.`)
  const saved = goingOn ? await readFinetuneConfig(files.config) : undefined
  const options = saved ? resumedOptions(finetuneOptions, saved.options, asked) : asked
  checkFinetuneOptions(finetuneOptions, asked, options)
  const engine = engineOf(options, saved, progress)
  let config: FinetuneConfig = saved
    ? { ...saved, options }
    : { created: new Date().toISOString(), options, environment: environmentOf(engine) }

  const planned = async (task: TargetTask, network: Network, open: OpenTask): Promise<TrainingPlan> => {
    const cost = options.maxTime === undefined ? undefined : await measureParts(network, open, signal)
    const plan = makeFinetunePlan(options, {
      task: task.name,
      trainingCases: task.counts.training,
      validationCases: task.counts.validation,
      // What is left after the measuring, which takes a validation's time itself.
      seconds: options.maxTime && options.maxTime - (performance.now() - started) / 1000,
      cost,
    })
    for (const line of cutLines(options, plan)) progress.warn(line)
    return plan
  }

  // Whatever can go wrong beforehand does so before anything is replaced, or written.
  const prepare = async () => {
    const task = await taskOf(options, files, progress, signal, shared)
    const shape = config.network ?? task.shapeFor(await startSize(options.init))
    const network = new Network(engine, shape, options.seed, options.recompute)
    task.initialise?.(network)
    if (options.init !== 'scratch')
      await withWeights(options.init, async (file) => {
        for (const line of fitLines(await loadPartly(file, network))) progress.say(line)
      })
    const open = await task.open(engine, network)
    const make = () => planned(task, network, open)
    const plan = config.plan ?? (await (shared.plan ? shared.plan(make) : make()))
    config = { ...config, outputs: task.outputs, network: shape, plan }
    return { task, network, open, plan }
  }
  const { task, network, open, plan } = await prepare().catch((error: unknown) => {
    throw folder.notBegun(error, signal)
  })
  await folder.begin(async () => {
    await writeFinetuneConfig(files.config, task.name, config)
    if (task.cohort && !existsSync(files.cohort)) await writeCohort(files.cohort, task.cohort)
  })
  describe(config, task, progress)

  const { epochs, stepsPerEpoch } = plan.stages[0]!
  const job: Job = {
    network,
    plan,
    open: ({ normMomentum }) => open.parts(normMomentum),
    files,
    fingerprint: fingerprint({
      network: network.shape,
      plan,
      options: [...deciding, ...task.deciding].map((key) => options[key] ?? null),
      precision: engine.precision,
      cases: open.identity,
    }),
    usage: {
      program: `semgen-native ${programVersion()}`,
      task: task.name,
      init: options.init,
      patch: network.shape.patch,
      norm: network.shape.norm,
      batch: plan.batch,
      ...open.usage,
    },
    checkpointSeconds: options.checkpointEvery,
  }
  const state = await runJob(job, goingOn, progress, signal)
  const best = state.results[0]!
  progress.say(
    `Best after epoch ${best.epoch} of ${best.epochs} (of ${epochs} with ${stepsPerEpoch} steps each), ` +
      `in ${duration(state.seconds)}: ${open.told(best.figures)}.`,
  )
  const test = await open.test()
  if (test) await tellTest(files.metrics, state.totalSteps, test)
  const result: FinetuneResult = {
    weights: files.best,
    measure: task.measure,
    validation: best.figures[task.measure]!,
    labelledCases: task.counts.training,
    ...(test ? { test } : {}),
  }
  await writeAtomically(`${asked.out}/result.json`, `${JSON.stringify(result, null, 1)}\n`)
  return result
}

/** The options that decide a run's bits beside its plan, of any task. */
const deciding = ['task', 'init', 'freeze', 'labelFraction', 'seed'] as const

/** The last line of a run's log. A run that is asked for again writes it again: what follows the checkpoint was cut off. */
async function tellTest(metrics: string, step: number, test: TestFigures): Promise<void> {
  const log = await MetricsLog.open(metrics, Number.POSITIVE_INFINITY)
  try {
    await log.write({ event: 'test', step, ...test })
  } finally {
    await log.close()
  }
}

/** Weights of any format, open while `use` works with them. */
async function withWeights<T>(path: string, use: (file: WeightsFile) => Promise<T>): Promise<T> {
  const file = await openWeights(path)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

async function startSize(init: string): Promise<Partial<NetworkShape>> {
  return init === 'scratch' ? {} : withWeights(init, async (file) => sizeOfWeights(file) ?? {})
}

function describe(
  { network, outputs, plan, options }: FinetuneConfig,
  { counts }: TargetTask,
  progress: Progress,
): void {
  const { kind, baseWidth, depth, patch, inputChannels } = network!
  const { epochs, stepsPerEpoch, schedule } = plan!.stages[0]!
  progress.say(
    `Cases: ${counts.training} to train with, ${counts.validation} held out, ${counts.test} for testing; ` +
      `${counted(inputChannels, 'channel')}; outputs: ${outputs!.map(({ name }) => name).join(', ')}.`,
  )
  progress.say(
    `Network: ${kind}, base width ${baseWidth}, depth ${depth}, patch ${extentsText(patch)}, from ${options.init}.`,
  )
  progress.say(
    `At most ${counted(epochs, 'epoch')} of ${counted(stepsPerEpoch, 'step')}, batches of ${plan!.batch}; ${describeSchedule(schedule)}; ` +
      `it ends early after ${counted(plan!.patience, 'validation')} without a better one.`,
  )
}
