import { cpus } from 'node:os'
import { z } from 'zod'
import { schemaOf, type TrainOptions, trainOptions } from '../config/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError, shown } from '../errors.js'
import { readJson, writeAtomically } from '../files.js'
import type { NetworkShape } from '../nn/index.js'
import { recipeSchema } from '../perturb/index.js'
import type { Progress } from '../progress.js'
import { type RunConfiguration, runConfiguration } from '../report/run-files.js'
import { programVersion } from '../version.js'
import type { Size } from './fit.js'
import { type TrainingPlan, trainingPlan } from './plan.js'
import type { Recipe } from './recipes.js'

/** config.json of a run: what was asked and, as soon as it is known, what was decided and is kept to on a resume. */
export interface RunConfig {
  readonly created: string
  readonly options: TrainOptions
  /** The machine and versions it was begun with. */
  readonly environment: Readonly<Record<string, string | number | boolean>>
  /** Perturbations, losses and stages in full. */
  readonly recipe: Recipe
  readonly size?: Size | undefined
  readonly network?: NetworkShape | undefined
  readonly plan?: TrainingPlan | undefined
}

const extents = z.tuple([z.number().int(), z.number().int(), z.number().int()])
const size: z.ZodType<Size> = z.object({ baseWidth: z.number().int(), depth: z.number().int(), patch: extents })

/**
 * What a run goes on with. Its perturbation is the one that it was begun with, whatever has become of the file that it
 * was read from.
 * @throws SemgenError IO, BAD_FILE when it is damaged or another version's
 */
export async function readRunConfig(
  path: string,
): Promise<Omit<RunConfig, 'recipe' | 'network'> & { readonly recipe: Pick<Recipe, 'perturbation'> }> {
  const parsed = runConfiguration
    .extend({
      options: schemaOf(trainOptions),
      recipe: z.looseObject({ question: z.string(), perturbation: recipeSchema }),
      size: size.optional(),
      plan: trainingPlan.optional(),
    })
    .safeParse(await readJson(path))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new SemgenError(
    'BAD_FILE',
    `${path} cannot be gone on with: ${issue?.path.join('.') || 'the file'}: ${issue?.message}.`,
  )
}

/** Writes config.json: in full, so that a reader needs neither defaults nor guesses. */
export async function writeRunConfig(path: string, config: RunConfig): Promise<void> {
  const content: RunConfiguration = {
    version: 1,
    program: `semgen-native ${programVersion()}`,
    chosen: chosenValues(config),
    ...config,
    recipe: { ...config.recipe },
    network: { ...config.network },
  }
  await writeAtomically(path, `${JSON.stringify(content, null, 1)}\n`)
}

/** Machine and versions, as config.json records them. */
export function environmentOf(engine: Engine): RunConfig['environment'] {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    device: engine.device,
    library: engine.about.library,
    instructions: engine.processor,
    precision: engine.precision,
    threads: engine.threads,
    ...(engine.tiles && { tiles: engine.tiles.digest }),
  }
}

/** What decides an engine's rounding. */
const roundingKeys = ['device', 'library', 'instructions', 'precision', 'threads', 'tiles']

/** Warns of the parts of the environment that may make a resumed run end in other bits. */
export function warnOfDifferences(before: RunConfig['environment'], engine: Engine, progress: Progress): void {
  const now = environmentOf(engine)
  const differing = roundingKeys
    .filter((key) => before[key] !== now[key])
    .map((key) => `${key} was ${shown(before[key])} and is ${shown(now[key])}`)
  if (differing.length > 0)
    progress.warn(
      `This is not the machine that the run was begun on, and its bits may differ: ${differing.join('; ')}.`,
    )
}

function chosenValues({ options, environment, size, plan }: RunConfig): Record<string, unknown> {
  const [first] = plan?.stages ?? []
  const decided: Partial<Record<keyof TrainOptions, unknown>> = {
    ...size,
    batch: plan?.batch,
    epochs: plan?.stages.reduce((sum, { epochs }) => sum + epochs, 0),
    cubes: plan && first!.stepsPerEpoch * plan.batch,
    validationCubes: plan?.validationCubes,
    schedule: first?.schedule.kind,
    precision: environment.precision,
    threads: environment.threads,
  }
  return Object.fromEntries(
    Object.entries(decided).filter(
      ([key, value]) => value !== undefined && options[key as keyof TrainOptions] === undefined,
    ),
  )
}
