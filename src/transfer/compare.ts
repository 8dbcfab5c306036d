import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { type CompareOptions, checkResume, compareOptions, givenAs, resumedOptions, schemaOf } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { readJson, removeTemporary, writeAtomically } from '../files.js'
import { whileHolding } from '../hold-folder.js'
import { type Progress, silent } from '../progress.js'
import { metricsEvent } from '../report/run-files.js'
import { type TrainingPlan, trainingPlan } from '../training/plan.js'
import { NothingReplaced, refuseInside, runFiles } from '../training/run-folder.js'
import { programVersion } from '../version.js'
import { openWeights, shapeOfWeights } from '../weights/index.js'
import { type ComparedRun, comparedRun, type StartSummary, summarize } from './comparison.js'
import { comparisonPage, comparisonTable } from './comparison-page.js'
import { checkStarts, finetune, inputsOf, type SharedData } from './finetune.js'
import { published } from './published.js'
import type { Measure } from './target-task.js'
import { checkFinetuneOptions } from './task-options.js'

const comparisonFile = z.object({
  version: z.literal(2),
  program: z.string(),
  options: schemaOf(compareOptions),
  /** Threads of each run: of another number, those to come would round otherwise than those that are done. */
  threads: z.number().int().optional(),
  /** What the first run with a share of the labels was planned to do: what all of them do. */
  plans: z.array(z.object({ labelFraction: z.number(), plan: trainingPlan })).optional(),
  runs: z.array(comparedRun),
})

/**
 * The paper's experiment: fine-tunes from every start with every seed and share of labels, the same cases and network for
 * all, the same steps and learning rates for all of a share, and says what differs. The folder gets runs/, comparison.json, comparison.md and comparison.html,
 * written anew after every run; with `resume` it goes on in the middle of the run it was stopped in.
 * @throws SemgenError BAD_OPTION, and whatever finetune throws; ABORTED through the signal
 */
export async function compare(
  asked: CompareOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<{ readonly summaries: readonly StartSummary[]; readonly page: string }> {
  const { out, force } = asked
  checkResume(asked)
  if (force) refuseInside(out, inputsOf(asked))
  return whileHolding(out, () => compareIn(asked, progress, signal))
}

async function compareIn(
  asked: CompareOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<{ readonly summaries: readonly StartSummary[]; readonly page: string }> {
  const files = {
    comparison: join(asked.out, 'comparison.json'),
    table: join(asked.out, 'comparison.md'),
    page: join(asked.out, 'comparison.html'),
    runs: join(asked.out, 'runs'),
  }
  // What is given again to one that goes on is held against its own options.
  if (!asked.resume) checkFinetuneOptions(compareOptions, asked, asked)
  const saved = await opened(asked, files)
  const cache = join(asked.out, 'cache')
  for (const at of [asked.out, cache]) await removeTemporary(at)
  const options = saved ? resumedOptions(compareOptions, saved.options, asked) : asked
  const shared = { cache, splitSeed: options.seed }
  const starts = await startsOf(options.init)
  const size = await sharedSize(options, starts)
  if (!saved) {
    await checked({ ...options, ...size }, starts, progress, signal, shared)
    for (const path of Object.values(files)) await rm(path, { recursive: true, force: true })
  }
  const runs: ComparedRun[] = [...(saved?.runs ?? [])]
  const threads =
    saved?.threads ?? Math.max(1, Math.floor((options.threads ?? availableParallelism()) / options.parallel))
  const plans = [...(saved?.plans ?? [])]
  const title = basename(options.out)
  const measure: Measure = options.task === 'classify' ? 'auc' : 'dice'
  const beside = options.preset && published[options.preset]
  const writeAll = async (): Promise<StartSummary[]> => {
    const summaries = summarize(runs, [...starts.keys()], options.seed)
    const content = {
      version: 2,
      program: `semgen-native ${programVersion()}`,
      options,
      threads,
      plans,
      runs,
      summaries,
    }
    await writeAtomically(files.comparison, `${JSON.stringify(content, null, 1)}\n`)
    await writeAtomically(files.table, comparisonTable(summaries, measure, beside))
    await writeAtomically(files.page, comparisonPage(title, summaries, measure, beside))
    return summaries
  }
  // One after the other: what is older must not be renamed over what is newer.
  let writing: Promise<unknown> = Promise.resolve()
  const write = (): Promise<StartSummary[]> => {
    const next = writing.then(writeAll, writeAll)
    writing = next
    return next
  }
  await write()
  const { init: _, labelFraction: fractions, runs: count, parallel, ...common } = options
  const all = fractions.flatMap((labelFraction) =>
    Array.from({ length: count }, (_, i) => options.seed + i).flatMap((seed) =>
      [...starts].map(([start, init]) => ({ labelFraction, seed, start, init })),
    ),
  )
  const placeOf = (run: ComparedRun) =>
    all.findIndex(
      ({ labelFraction, seed, start }) =>
        run.start === start && run.seed === seed && run.labelFraction === labelFraction,
    )
  const finished = new Set(runs.map(placeOf))
  const waiting = [...all.entries()].filter(([i]) => !finished.has(i))
  const done = (run: ComparedRun) => {
    runs.push(run)
    runs.sort((a, b) => placeOf(a) - placeOf(b))
  }
  // Runs at a time ask at a time: those that come later wait for the first one's plan, which is on the disk before it is used.
  const planned = new Map(plans.map(({ labelFraction, plan }) => [labelFraction, Promise.resolve(plan)]))
  const planOf = (labelFraction: number) => (make: () => Promise<TrainingPlan>) => {
    const first = async () => {
      const plan = await make()
      plans.push({ labelFraction, plan })
      await write()
      return plan
    }
    const plan = planned.get(labelFraction) ?? first()
    planned.set(labelFraction, plan)
    return plan
  }
  await mkdir(files.runs, { recursive: true })
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      signal?.throwIfAborted()
      const [i, { labelFraction, seed, start, init }] = next
      const name = `${start}, seed ${seed}, ${labelFraction} of the labels`
      progress.say(`Run ${i + 1} of ${all.length}: ${name}.`)
      const out = join(files.runs, `${start.replace(/[^\w.-]+/g, '_')}-${labelFraction}-${seed}`)
      const own = { ...common, ...size, threads, init, labelFraction, seed, out, resume: existsSync(out), force: false }
      const result = await finetune(givenAs(asked, own), parallel > 1 ? named(progress, name) : progress, signal, {
        ...shared,
        plan: planOf(labelFraction),
      })
      done({
        start,
        labelFraction,
        labelledCases: result.labelledCases,
        seed,
        figure: result.test?.[measure] ?? result.validation,
        byOutput: { ...(result.test?.byOutput ?? {}) },
        curve: await curveOf(join(out, 'metrics.jsonl'), measure),
      })
      await write()
    }
  }
  // A run that fails ends the comparison, once those beside it are done: their work is not thrown away.
  const outcomes = await Promise.allSettled(
    Array.from({ length: parallel }, () =>
      work().catch((error) => {
        waiting.length = 0
        throw error
      }),
    ),
  )
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) {
    // What no run can begin with leaves no comparison behind: the corrected command needs no --force.
    const begun = (await readdir(files.runs)).some((run) => existsSync(runFiles(join(files.runs, run)).config))
    if (!saved && !begun) for (const path of Object.values(files)) await rm(path, { recursive: true, force: true })
    throw failed.reason
  }
  return { summaries: await write(), page: files.page }
}

/** Whatever can go wrong with a start does so before hours went into those before it, and before anything is replaced. */
async function checked(
  options: CompareOptions,
  starts: ReadonlyMap<string, string>,
  progress: Progress,
  signal: AbortSignal | undefined,
  shared: SharedData,
): Promise<void> {
  const { runs: _, parallel: __, ...common } = options
  const one = { ...common, init: 'scratch', labelFraction: options.labelFraction[0]! }
  const quiet: Progress = { ...silent, begin: (...task) => progress.begin(...task) }
  try {
    await checkStarts(one, starts.values(), quiet, signal, shared)
  } catch (error) {
    throw signal?.aborted && options.force ? new NothingReplaced(options.out, signal, error) : error
  }
}

/** What one of several runs at a time tells: its lines, with its name before them, and no bar of its own. */
function named(progress: Progress, name: string): Progress {
  return {
    ...silent,
    say: (line) => progress.say(`[${name}] ${line}`),
    warn: (line) => progress.warn(`[${name}] ${line}`),
  }
}

/** The comparison to go on with; undefined where one begins, whose folder may be used. Nothing is removed yet. */
async function opened(
  { out, resume, force }: CompareOptions,
  files: { readonly comparison: string },
): Promise<z.infer<typeof comparisonFile> | undefined> {
  if (resume && existsSync(files.comparison)) {
    const parsed = comparisonFile.safeParse(await readJson(files.comparison, 256 * 2 ** 20))
    if (parsed.success) return parsed.data
    throw new SemgenError('BAD_FILE', `${files.comparison} is damaged, or of another version: begin anew with --force.`)
  }
  const there = (await readdir(out)).filter((name) => !name.startsWith('.') && name !== 'cache')
  if (there.length > 0 && !force)
    throw new SemgenError(
      'BAD_OPTION',
      resume
        ? `${out} holds no comparison to go on with, as it has no comparison.json, and is not empty: give the folder of a comparison, or another --out.`
        : `${out} is not empty: go on with its comparison (--resume), replace it (--force), or give another --out.`,
    )
  return undefined
}

/** The starts by the name they have in tables: a run's folder, a file's name without its ending. */
async function startsOf(asked: readonly string[]): Promise<Map<string, string>> {
  const starts = new Map<string, string>()
  for (const start of asked.flatMap((word) => word.split(','))) {
    const name =
      start === 'scratch'
        ? start
        : basename(start) === 'best.safetensors'
          ? basename(dirname(start))
          : basename(start).replace(/\.(safetensors|pt|pth|h5)$/, '')
    if (starts.has(name))
      throw new SemgenError(
        'BAD_OPTION',
        `--init names ${name} twice: starts that are compared need names of their own.`,
      )
    starts.set(name, start)
  }
  return starts
}

/** One network for all starts: that of the first weights, where options do not say otherwise. */
async function sharedSize(
  { baseWidth, depth }: CompareOptions,
  starts: ReadonlyMap<string, string>,
): Promise<{ baseWidth: number | undefined; depth: number | undefined }> {
  const path = [...starts.values()].find((start) => start !== 'scratch')
  if (!path) return { baseWidth, depth }
  const file = await openWeights(path)
  try {
    const shape = shapeOfWeights(file)
    return { baseWidth: baseWidth ?? shape.baseWidth, depth: depth ?? shape.depth }
  } finally {
    await file.close()
  }
}

async function curveOf(path: string, measure: Measure): Promise<[number, number][]> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  return lines.flatMap((line): [number, number][] => {
    const event = metricsEvent.parse(JSON.parse(line))
    const value = event.event === 'validation' ? event[measure] : undefined
    return event.event === 'validation' && value !== undefined ? [[event.step, value]] : []
  })
}
