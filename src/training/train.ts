import { existsSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { resumedOptions, type TrainOptions, trainOptions } from '../config/index.js'
import { checkCohort, medianSpacing, writePatterns } from '../discovery/index.js'
import { readJson } from '../files.js'
import { Network } from '../nn/index.js'
import { checkPatch, type Recipe as PerturbationRecipe, parseRecipe } from '../perturb/index.js'
import { type Progress, silent } from '../progress.js'
import { programVersion } from '../version.js'
import { writeCohort } from '../volumes/index.js'
import { fingerprint } from './checkpoint.js'
import { type CropSource, firstCrops, patternCrops, randomCrops } from './crops.js'
import { CubeMaker } from './cubes.js'
import { type Job, runJob } from './job.js'
import { discoveredPatterns, scansAndPatterns } from './patterns.js'
import { checkEpochs, describePlan, type PlanEstimate } from './planning.js'
import { pretrainingParts } from './pretraining.js'
import { makeRecipe, needsPatterns, networkOf } from './recipes.js'
import { describeResult, type RunResult } from './result.js'
import { environmentOf, type RunConfig, readRunConfig, writeRunConfig } from './run-config.js'
import { engineOf } from './run-engine.js'
import { type Inputs, openRunFolder, type RunFolder } from './run-folder.js'
import { writeSamples } from './samples.js'
import { intensitiesOf } from './scans.js'
import { checkBatch, choosePlan, chooseSize, speedOf } from './sizing.js'
import { refuseUnused } from './unused-options.js'

/** Held-out and training crops of a scan in a pass where there are no patterns: as in Models Genesis. */
const cropsPerScan = 32

/**
 * The main job: inspects and prepares scans, discovers patterns where the recipe needs them, and pre-trains a network.
 * The run's folder gets config.json, cohort.json, patterns.json, metrics.jsonl, last and best.safetensors and samples.
 * A run that was stopped or killed goes on with `resume`; once training has begun, to the same bits.
 * @throws SemgenError BAD_OPTION, NO_DATA, NO_DEVICE, DIVERGED, IO, BAD_CHECKPOINT; ABORTED through the signal, when
 *   everything to go on has been written
 */
export async function train(
  asked: TrainOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<RunResult> {
  const folder = await openRunFolder(asked.out, asked, inputsOf(asked))
  try {
    return await trainIn(folder, asked, progress, signal)
  } finally {
    folder.close()
  }
}

async function trainIn(
  folder: RunFolder,
  asked: TrainOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<RunResult> {
  const started = performance.now()
  const { files, goingOn } = folder
  if (asked.resume && !goingOn) progress.say(`There is nothing to go on with in ${asked.out} yet: a run begins.`)
  const saved = goingOn ? await readRunConfig(files.config) : undefined
  const options = saved ? resumedOptions(trainOptions, saved.options, asked) : asked
  const perturbation = saved?.recipe.perturbation ?? (await perturbationOf(options))
  const recipe = makeRecipe({ ...options, perturbation })
  if (!saved) {
    refuseUnused(options)
    checkEpochs(options.epochs, recipe.stages)
  }
  const engine = engineOf(options, saved, progress)
  if (!saved && engine.precision === 'fp32' && options.precision === undefined && engine.about.bf16)
    progress.say('This CPU computes bfloat16 faster than float32: see --precision bf16.')
  let config: RunConfig = saved
    ? { ...saved, options, recipe }
    : { created: new Date().toISOString(), options, environment: environmentOf(engine), recipe }
  const decide = async (decisions: Partial<RunConfig>) => {
    config = { ...config, ...decisions }
    await writeRunConfig(files.config, config)
  }
  const secondsLeft = () => options.maxTime && options.maxTime - (performance.now() - started) / 1000
  const situation = { seconds: secondsLeft, speed: speedOf(engine, signal) }

  // Whatever can go wrong beforehand does so before anything is replaced: it is neither written nor read what a run
  // would leave, but for prepared scans.
  const prepare = async () => {
    const found = await scansAndPatterns(options, files, goingOn, progress, signal)
    const { baseWidth, depth, patch = found.given?.patch } = options
    const wishes = { baseWidth, depth, patch }
    const size = config.size ?? (await chooseSize(wishes, recipe, found.scans.train, situation, progress))
    checkPatch(recipe.perturbation, size.patch)
    if (needsPatterns(recipe) && !found.given) checkCohort(found.scans.train, { ...options, patch: size.patch })
    if (options.batch !== undefined) checkBatch(size, options.batch)
    return { ...found, size }
  }
  const { scans, given, size } = await prepare().catch((error: unknown) => {
    throw folder.notBegun(error, signal)
  })
  await folder.begin(async () => {
    if (!config.size) await decide({ size })
    if (scans.cohort && !existsSync(files.cohort)) await writeCohort(files.cohort, scans.cohort)
    // Where cubes are the scans, the folder that they lie in is what the run goes on with.
    if (scans.cohort && given && !existsSync(files.patterns)) await writePatterns(files.patterns, given)
  })
  const patterns = needsPatterns(recipe)
    ? (given ??
      (await discoveredPatterns(
        { ...options, patch: size.patch, maxTime: secondsLeft() },
        scans,
        engine,
        files,
        progress,
        signal,
      )))
    : undefined

  const { seed } = options
  const network = new Network(
    engine,
    networkOf(recipe, patterns?.classes.length ?? 0, { ...size, norm: options.norm }),
    seed,
    options.recompute,
  )
  const maker = new CubeMaker({
    engine,
    scans: new Map(scans.prepared.scans.map((scan) => [scan.id, scan])),
    patch: size.patch,
    recipe,
    seed,
    threads: Math.max(1, Math.floor(engine.threads / 2)),
  })
  try {
    const crops = (split: 'train' | 'validation'): CropSource =>
      patterns
        ? patternCrops(patterns, split)
        : randomCrops(scans[split], { patch: size.patch, seed, purpose: split, perScan: cropsPerScan })
    const material = { network, maker, trainingCrops: crops('train'), validationCrops: crops('validation') }
    let estimate: PlanEstimate | undefined
    if (!config.plan) {
      const chosen = await choosePlan(options, recipe, material, situation, progress, signal)
      estimate = chosen
      await decide({ network: network.shape, plan: chosen.plan })
    }
    const plan = config.plan!
    for (const line of describePlan(plan, network.shape, recipe.name, material.trainingCrops.size, estimate))
      progress.say(line)

    const held = firstCrops(material.validationCrops, plan.validationCubes)
    const pretraining = { ...material, validationCrops: held, recipe, seed, batch: plan.batch }
    const job: Job = {
      network,
      plan,
      open: (stage) => pretrainingParts(pretraining, stage),
      files,
      fingerprint: fingerprint({
        network: network.shape,
        plan,
        seed,
        recipe,
        precision: engine.precision,
        scans: scans.identity,
        patterns: patterns?.classes,
      }),
      usage: {
        program: `semgen-native ${programVersion()}`,
        recipe: recipe.name,
        patch: size.patch,
        norm: options.norm,
        spacing: medianSpacing(scans.train),
        intensities: intensitiesOf(scans.train),
      },
      checkpointSeconds: options.checkpointEvery,
    }
    const state = await runJob(job, goingOn, progress, signal)
    const spacings = new Map(scans.prepared.scans.map(({ id, spacing }) => [id, spacing]))
    // The network has its best weights again, of the last stage's best epoch.
    const { epoch, epochs } = state.results.at(-1)!
    const step = state.totalSteps - (epochs - epoch) * plan.stages.at(-1)!.stepsPerEpoch
    await writeSamples({ ...pretraining, spacings, step }, files)
    const { classes } = network.shape
    const result: RunResult = {
      folder: files.folder,
      weights: files.best,
      network: network.shape,
      stages: state.results,
      chance: classes > 0 ? 1 / classes : undefined,
      steps: state.totalSteps,
      seconds: state.seconds,
    }
    for (const line of describeResult(result)) progress.say(line)
    return result
  } finally {
    maker.dispose()
  }
}

/** What a run reads, by option. */
function inputsOf({ source, patterns, perturbation, tiles }: TrainOptions): Inputs {
  return { source, patterns, perturbation: isFile(perturbation) ? perturbation : undefined, tiles }
}

/** A perturbation is a file, or a name. */
const isFile = (perturbation: string | undefined): boolean => /\.json$/i.test(perturbation ?? '')

/** The perturbation that is asked for, in full; undefined for the recipe's own. */
async function perturbationOf({ perturbation }: TrainOptions): Promise<PerturbationRecipe | undefined> {
  if (perturbation === undefined) return undefined
  return parseRecipe(isFile(perturbation) ? await readJson(perturbation, 2 ** 20) : perturbation)
}
