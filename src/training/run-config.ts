import { cpus } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { optionName, schemaOf, type TrainOptions, trainOptions } from '../config/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError, shown } from '../errors.js'
import { readJson, writeAtomically } from '../files.js'
import type { NetworkShape } from '../nn/index.js'
import { type RunConfiguration, runConfiguration } from '../report/run-files.js'
import { programVersion } from '../version.js'
import { type TrainingPlan, trainingPlan } from './plan.js'

/** What a run decided for itself before it began to train, and keeps to when it is resumed. */
export interface Decisions {
  readonly network: NetworkShape
  readonly plan: TrainingPlan
}

/** config.json of a run: what was asked and, once that is known, what was decided. */
export interface RunConfig {
  readonly created: string
  readonly options: TrainOptions
  readonly decisions?: Decisions | undefined
  /** The machine and versions it was begun with. */
  readonly environment: Readonly<Record<string, string | number | boolean>>
}

const extents = z.tuple([z.number(), z.number(), z.number()])
const networkShape: z.ZodType<NetworkShape> = z.object({
  kind: z.enum(['y-net', 'u-net', 'auto-encoder', 'classifier']),
  baseWidth: z.number(),
  depth: z.number(),
  inputChannels: z.number(),
  outputChannels: z.number(),
  classes: z.number(),
  patch: extents,
  skips: z.boolean(),
  norm: z.enum(['batch', 'running']),
})

/** What may differ between a run and its resumption: nothing that decides its bits. */
const free = new Set(['out', 'resume', 'force', 'checkpointEvery'])

/** @throws SemgenError IO, BAD_FILE when it is damaged or another version's */
export async function readRunConfig(path: string): Promise<RunConfig> {
  const content = await readJson(path)
  const parsed = runConfiguration
    .extend({ options: schemaOf(trainOptions), plan: trainingPlan.optional() })
    .safeParse(content)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new SemgenError(
      'BAD_FILE',
      `${path} cannot be gone on with: ${issue?.path.join('.') || 'the file'}: ${issue?.message}.`,
    )
  }
  const { created, options, network, plan, environment } = parsed.data
  const shape = networkShape.safeParse(network)
  return { created, options, environment, decisions: shape.success && plan ? { network: shape.data, plan } : undefined }
}

/** Writes config.json: in full, so that a reader needs neither defaults nor guesses. */
export async function writeRunConfig(
  path: string,
  config: RunConfig,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const { options, decisions } = config
  const content: RunConfiguration = {
    version: 1,
    program: `semgen-native ${programVersion()}`,
    created: config.created,
    options,
    chosen: decisions ? chosenValues(config, decisions) : {},
    network: { ...decisions?.network },
    environment: config.environment,
    ...(decisions ? { plan: decisions.plan } : {}),
    ...more,
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
    instructions: engine.about.instructions,
    precision: engine.precision,
    threads: engine.threads,
  }
}

/** What decides an engine's rounding. */
const roundingKeys = ['device', 'library', 'instructions', 'precision', 'threads']

/** The parts of the environment that may make a resumed run end in other bits. */
export function differences(before: RunConfig['environment'], now: RunConfig['environment']): string[] {
  return roundingKeys
    .filter((key) => before[key] !== now[key])
    .map((key) => `${key} was ${shown(before[key])} and is ${shown(now[key])}`)
}

/**
 * The options of a resumed run: its own. What is given again must be the same; what is left at its default is not asked.
 * @throws SemgenError BAD_OPTION naming the option that differs
 */
export function resumedOptions(saved: TrainOptions, given: TrainOptions): TrainOptions {
  const merged: Record<string, unknown> = { ...saved }
  for (const [key, { fallback }] of Object.entries(trainOptions as Record<string, { fallback?: unknown }>)) {
    const now = given[key as keyof TrainOptions]
    if (free.has(key)) merged[key] = now
    else if (!same(key, now, fallback) && !same(key, now, saved[key as keyof TrainOptions]))
      throw new SemgenError(
        'BAD_OPTION',
        `${key === 'source' ? 'The scans' : optionName(key)}: ${shown(now)} now, but the run was begun with ${shown(saved[key as keyof TrainOptions] ?? 'none')}. A resumed run keeps its options; begin another one to change them.`,
      )
  }
  return merged as TrainOptions
}

function same(key: string, a: unknown, b: unknown): boolean {
  const plain = (value: unknown) =>
    key === 'source' && Array.isArray(value) ? value.map((path) => resolve(String(path))) : value
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b))
}

function chosenValues({ options, environment }: RunConfig, { network, plan }: Decisions): Record<string, unknown> {
  const [first] = plan.stages
  const decided: Partial<Record<keyof TrainOptions, unknown>> = {
    baseWidth: network.baseWidth,
    depth: network.depth,
    patch: network.patch,
    batch: plan.batch,
    epochs: plan.stages.reduce((sum, { epochs }) => sum + epochs, 0),
    cubes: first!.stepsPerEpoch * plan.batch,
    validationCubes: plan.validationCubes,
    schedule: first!.schedule.kind,
    precision: environment.precision,
    threads: environment.threads,
  }
  return Object.fromEntries(Object.entries(decided).filter(([key]) => options[key as keyof TrainOptions] === undefined))
}
