import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { TrainOptions } from '../config/index.js'
import { checkPatterns, discover, type PatternSet, readPatterns, readPublishedPatterns } from '../discovery/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import type { Progress } from '../progress.js'
import type { RunFiles } from './run-folder.js'
import { type Scans, scansOf } from './scans.js'

/** Of the time there is, discovery may take this part. */
const discoveryPart = 0.2

/**
 * The scans of a run, and the patterns that --patterns gives: a patterns.json for these scans, or a folder of published
 * arrays, whose cubes then are the scans. A run that is gone on with has its own copy of the file, wherever that is now.
 */
export async function scansAndPatterns(
  options: TrainOptions,
  files: RunFiles,
  goingOn: boolean,
  progress: Progress,
  signal?: AbortSignal,
): Promise<{ scans: Scans; given: PatternSet | undefined }> {
  const copied = goingOn && options.patterns !== undefined && existsSync(files.patterns)
  const path = copied ? files.patterns : options.patterns && patternsIn(options.patterns)
  if (path !== undefined && statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    progress.say(`The cubes in ${path} are trained on; ${options.source.join(', ')} is not read.`)
    const { patterns, scans } = await readPublishedPatterns(path, files.cache, progress, signal)
    const part = (name: 'train' | 'validation') => scans.filter(({ split }) => split === name)
    const identity = scans.map(({ id, split }) => [id, split])
    const prepared = { scans, refused: [] }
    return {
      scans: { identity, prepared, train: part('train'), validation: part('validation') },
      given: heldOut(path, patterns),
    }
  }
  const scans = await scansOf(options, files, goingOn, progress, signal)
  if (path === undefined) return { scans, given: undefined }
  const patterns = await readPatterns(path)
  checkPatterns(path, patterns, scans.prepared.scans)
  return { scans, given: heldOut(path, patterns) }
}

/** Of the folder of a discovery its patterns; other files and folders are themselves. */
function patternsIn(path: string): string {
  const inside = join(path, 'patterns.json')
  return existsSync(inside) ? inside : path
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
