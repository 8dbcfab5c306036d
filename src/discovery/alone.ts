import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DiscoverOptions } from '../config/index.js'
import { openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { readJson, removeTemporary } from '../files.js'
import { holdFolder } from '../hold-folder.js'
import { type Progress, silent } from '../progress.js'
import { inspectCohort, parseCohort, prepareCohort, writeCohort } from '../volumes/index.js'
import { checkCohort, discover } from './discover.js'
import type { PatternSet } from './patterns.js'

/**
 * Discovery from scans to patterns, without a training run around it: inspects, prepares (into `out`/cache), discovers.
 * With `resume` it keeps the cohort and the auto-encoder that the folder holds.
 * @throws SemgenError BAD_OPTION when the folder holds patterns and neither `resume` nor `force` says what to do with
 *   them, or another process uses it; what inspectCohort, prepareCohort and discover throw
 */
export async function discoverCohort(
  options: DiscoverOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<PatternSet> {
  if (options.resume && options.force) throw new SemgenError('BAD_OPTION', '--resume and --force exclude each other.')
  const letGo = await holdFolder(options.out)
  try {
    return await discoverIn(options, progress, signal)
  } finally {
    letGo()
  }
}

async function discoverIn(
  options: DiscoverOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<PatternSet> {
  const { out, source, resume, force } = options
  const files = { cohort: join(out, 'cohort.json'), embedding: join(out, 'embedding.safetensors') }
  // A training run's folder is its own: its patterns may be in use.
  if (existsSync(join(out, 'config.json')))
    throw new SemgenError('BAD_OPTION', `${out} holds a training run: give another --out.`)
  if (!resume && !force && [files.embedding, join(out, 'patterns.json')].some((path) => existsSync(path)))
    throw new SemgenError(
      'BAD_OPTION',
      `${out} already holds a discovery: go on with it (--resume), replace it (--force), or give another --out.`,
    )
  for (const at of [out, join(out, 'cache'), join(out, 'montages')]) await removeTemporary(at)
  const engine = openEngine(options)
  const cohort =
    resume && existsSync(files.cohort)
      ? parseCohort(files.cohort, await readJson(files.cohort))
      : await inspectCohort(source, options, progress, signal)
  for (const note of cohort.notes) progress.say(note)
  for (const { reason } of cohort.refused) progress.warn(`Left out: ${reason}`)
  const { spacing } = options
  const prepared = await prepareCohort(cohort, { folder: join(out, 'cache'), spacing }, progress, signal)
  // Before anything that the folder holds is replaced.
  checkCohort(
    prepared.scans.filter(({ split }) => split === 'train'),
    options,
  )
  await writeCohort(files.cohort, cohort)
  return discover(prepared, engine, options, progress, signal, out)
}
