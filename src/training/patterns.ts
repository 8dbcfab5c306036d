import { existsSync } from 'node:fs'
import type { TrainOptions } from '../config/index.js'
import { checkPatterns, discover, type PatternSet, readPatterns } from '../discovery/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import type { Progress } from '../progress.js'
import type { RunFiles } from './run-folder.js'
import type { Scans } from './scans.js'

/** Of the time there is, discovery may take this part. */
const discoveryPart = 0.2

/** The patterns of --patterns, checked against the scans; undefined where they are to be discovered. */
export async function givenPatterns(options: TrainOptions, scans: Scans): Promise<PatternSet | undefined> {
  if (options.patterns === undefined) return undefined
  const patterns = await readPatterns(options.patterns)
  checkPatterns(options.patterns, patterns, scans.prepared.scans)
  return heldOut(options.patterns, patterns)
}

/** The patterns that the run has discovered already, or discovers now. */
export async function discoveredPatterns(
  options: TrainOptions,
  scans: Scans,
  engine: Engine,
  files: RunFiles,
  progress: Progress,
  signal?: AbortSignal,
): Promise<PatternSet> {
  if (existsSync(files.patterns)) {
    const patterns = await readPatterns(files.patterns)
    checkPatterns(files.patterns, patterns, scans.prepared.scans)
    return heldOut(files.patterns, patterns)
  }
  const maxTime = options.maxTime === undefined ? undefined : Math.max(1, discoveryPart * options.maxTime)
  const patterns = await discover(
    scans.prepared,
    engine,
    { ...options, maxTime, resume: true },
    progress,
    signal,
    files.folder,
  )
  return heldOut(files.patterns, patterns)
}

function heldOut(path: string, patterns: PatternSet): PatternSet {
  if (!patterns.classes.some(({ crops }) => crops.some(({ split }) => split === 'validation')))
    throw new SemgenError('NO_DATA', `${path} has no crops of held-out patients to validate with.`)
  return patterns
}
