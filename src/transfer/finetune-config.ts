import { z } from 'zod'
import { type FinetuneOptions, finetuneOptions, schemaOf } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { readJson, writeAtomically } from '../files.js'
import type { NetworkShape } from '../nn/index.js'
import { type RunConfiguration, runConfiguration } from '../report/run-files.js'
import { type TrainingPlan, trainingPlan } from '../training/plan.js'
import { programVersion } from '../version.js'
import type { TargetTask } from './target-task.js'

/** config.json of a fine-tuning: what was asked and, as soon as it is known, what was decided and is kept to on a resume. */
export interface FinetuneConfig {
  readonly created: string
  readonly options: FinetuneOptions
  readonly environment: RunConfiguration['environment']
  /** What the network answers. */
  readonly outputs?: TargetTask['outputs'] | undefined
  readonly network?: NetworkShape | undefined
  readonly plan?: TrainingPlan | undefined
}

const output = z.looseObject({ name: z.string() })

/** @throws SemgenError IO, BAD_FILE when it is damaged, another version's or another command's */
export async function readFinetuneConfig(path: string): Promise<FinetuneConfig> {
  const parsed = runConfiguration
    .extend({
      task: z.enum(['segmentation', 'classification']),
      options: schemaOf(finetuneOptions),
      outputs: z.array(output).optional(),
      plan: trainingPlan.optional(),
    })
    .safeParse(await readJson(path))
  if (!parsed.success)
    throw new SemgenError(
      'BAD_FILE',
      `${path} is not that of a fine-tuning to go on with: ${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}.`,
    )
  const { network, ...rest } = parsed.data
  return { ...rest, ...(Object.keys(network).length > 0 ? { network: network as unknown as NetworkShape } : {}) }
}

/** Writes config.json, in full. */
export async function writeFinetuneConfig(
  path: string,
  task: TargetTask['name'],
  config: FinetuneConfig,
): Promise<void> {
  const { plan } = config
  const content: RunConfiguration = {
    version: 1,
    program: `semgen-native ${programVersion()}`,
    task,
    ...config,
    chosen: plan ? { epochs: plan.stages[0]!.epochs, steps: plan.stages[0]!.stepsPerEpoch } : {},
    network: { ...config.network },
  }
  await writeAtomically(path, `${JSON.stringify(content, null, 1)}\n`)
}
