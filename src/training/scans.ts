import { existsSync } from 'node:fs'
import type { TrainOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { readJson } from '../files.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import {
  type Cohort,
  inspectCohort,
  type PreparedCohort,
  type PreparedScan,
  parseCohort,
  prepareCohort,
} from '../volumes/index.js'
import type { RunFiles } from './run-folder.js'

/** The scans of a run, inspected and prepared. */
export interface Scans {
  /** What tells these scans from others: part of a run's fingerprint. */
  readonly identity: unknown
  readonly prepared: PreparedCohort
  /** As inspected: what cohort.json holds; absent where cubes are the scans. */
  readonly cohort?: Cohort
  readonly train: readonly PreparedScan[]
  readonly validation: readonly PreparedScan[]
}

/**
 * Inspects the scans (or, of a run that is gone on with, takes the cohort.json that it has already) and prepares them.
 * Files that cannot be used are listed, and the rest goes on.
 * @throws SemgenError NO_DATA when there is no scan to train with, or none held out to validate with
 */
export async function scansOf(
  options: TrainOptions,
  files: RunFiles,
  goingOn: boolean,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Scans> {
  const cohort =
    goingOn && existsSync(files.cohort)
      ? parseCohort(files.cohort, await readJson(files.cohort))
      : await inspectCohort(options.source, options, progress, signal)
  for (const note of cohort.notes) progress.say(note)
  for (const { reason } of cohort.refused) progress.warn(`Left out: ${reason}`)
  const { spacing, threads } = options
  const prepared = await prepareCohort(cohort, { folder: files.cache, spacing, threads }, progress, signal)
  const train = prepared.scans.filter(({ split }) => split === 'train')
  const validation = prepared.scans.filter(({ split }) => split === 'validation')
  const source = options.source.join(', ')
  if (train.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${source} has no scan in its training part: see --split, or the manifest's split.`,
    )
  if (validation.length === 0)
    throw new SemgenError(
      'NO_DATA',
      prepared.scans.length === 1
        ? `${source} has one usable scan, and training needs another patient's to validate with: give at least two.`
        : `${source} has no scan of a held-out patient to validate with: see --split, or the manifest's split.`,
    )
  progress.say(
    `Scans: ${counted(train.length, 'training scan')}, ${counted(validation.length, 'held-out scan')}, ` +
      `${counted(prepared.scans.length - train.length - validation.length, 'test scan')} set aside.`,
  )
  const identity = cohort.scans.map(({ id, hash, split }) => [id, hash, split])
  return { identity, prepared, cohort, train, validation }
}

/** What best.safetensors says about the scans it was trained on, and so about those it is meant for. */
export function intensitiesOf(scans: readonly PreparedScan[]): Readonly<Record<string, unknown>> {
  const kinds = [...new Set(scans.map(({ modality }) => modality))]
  const windows = new Set(scans.map(({ window }) => window.join()))
  return {
    modality: kinds.length === 1 ? kinds[0] : kinds,
    /** Intensities that become 0 and 1; where scans differ, each has its own quantiles there. */
    window: windows.size === 1 ? scans[0]!.window : 'each scan: quantiles 0.5 % and 99.5 %',
  }
}
