import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { checkResume, type DiscoverOptions, discoverOptions, resumedOptions, schemaOf } from '../config/index.js'
import { openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { readJson, removeTemporary, writeAtomically } from '../files.js'
import { whileHolding } from '../hold-folder.js'
import { type Progress, silent } from '../progress.js'
import { programVersion } from '../version.js'
import { inspectCohort, parseCohort, prepareCohort, writeCohort } from '../volumes/index.js'
import { checkCohort, discover } from './discover.js'
import type { PatternSet } from './patterns.js'

/**
 * Discovery from scans to patterns, without a training run around it: inspects, prepares (into `out`/cache), discovers.
 * With `resume` it keeps the cohort and the auto-encoder that the folder holds, and the options they were made with
 * (discovery.json): one that is given again must be the same.
 * @throws SemgenError BAD_OPTION when the folder holds patterns and neither `resume` nor `force` says what to do with
 *   them, another process uses it, or an option differs from that of the discovery gone on with; what inspectCohort,
 *   prepareCohort and discover throw
 */
export async function discoverCohort(
  asked: DiscoverOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<PatternSet> {
  checkResume(asked)
  return whileHolding(asked.out, () => discoverIn(asked, progress, signal))
}

async function discoverIn(
  asked: DiscoverOptions,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<PatternSet> {
  const { out, resume, force } = asked
  const files = {
    options: join(out, 'discovery.json'),
    cohort: join(out, 'cohort.json'),
    embedding: join(out, 'embedding.safetensors'),
    patterns: join(out, 'patterns.json'),
    montages: join(out, 'montages'),
  }
  // A training run's folder is its own: its patterns may be in use.
  if (existsSync(join(out, 'config.json')))
    throw new SemgenError('BAD_OPTION', `${out} holds a training run: give another --out.`)
  if (!resume && !force && [files.embedding, files.patterns].some((path) => existsSync(path)))
    throw new SemgenError(
      'BAD_OPTION',
      `${out} already holds a discovery: go on with it (--resume), replace it (--force), or give another --out.`,
    )
  for (const at of [out, join(out, 'cache'), files.montages]) await removeTemporary(at)
  // A cohort of unknown options is inspected again.
  const goingOn = resume && existsSync(files.options) && existsSync(files.cohort)
  const options = goingOn ? resumedOptions(discoverOptions, await readOptions(files.options), asked) : asked
  const engine = openEngine(options)
  const cohort = goingOn
    ? parseCohort(files.cohort, await readJson(files.cohort))
    : await inspectCohort(options.source, options, progress, signal)
  for (const note of cohort.notes) progress.say(note)
  for (const { reason } of cohort.refused) progress.warn(`Left out: ${reason}`)
  const { spacing, threads } = options
  const prepared = await prepareCohort(cohort, { folder: join(out, 'cache'), spacing, threads }, progress, signal)
  // Before anything that the folder holds is replaced.
  checkCohort(
    prepared.scans.filter(({ split }) => split === 'train'),
    options,
  )
  if (!goingOn) {
    // Neither cohort nor patterns ever lie beside the options of others: killed here, the next call inspects again.
    for (const old of [files.cohort, files.patterns, files.montages]) await rm(old, { recursive: true, force: true })
    await writeOptions(files.options, options)
    await writeCohort(files.cohort, cohort)
  }
  return discover(prepared, engine, options, progress, signal, out)
}

/** discovery.json: what was asked, in full, to hold a resumed call against. */
const savedOptions = z.looseObject({ version: z.literal(1), options: schemaOf(discoverOptions) })

async function writeOptions(path: string, options: DiscoverOptions): Promise<void> {
  const content = { version: 1, program: `semgen-native ${programVersion()}`, options }
  await writeAtomically(path, `${JSON.stringify(content, null, 1)}\n`)
}

/** @throws SemgenError IO, BAD_FILE when it is damaged or another version's */
async function readOptions(path: string): Promise<DiscoverOptions> {
  const parsed = savedOptions.safeParse(await readJson(path))
  if (parsed.success) return parsed.data.options
  const [issue] = parsed.error.issues
  throw new SemgenError(
    'BAD_FILE',
    `${path} cannot be gone on with: ${issue?.path.join('.') || 'the file'}: ${issue?.message}; begin anew with --force.`,
  )
}
