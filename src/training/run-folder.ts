import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { reason, SemgenError } from '../errors.js'

/** Where the files of a run are. */
export interface RunFiles {
  readonly folder: string
  readonly config: string
  readonly cohort: string
  readonly cache: string
  readonly patterns: string
  readonly metrics: string
  readonly last: string
  readonly best: string
  readonly samples: string
  readonly sampleVoxels: string
}

export function runFiles(folder: string): RunFiles {
  return {
    folder,
    config: join(folder, 'config.json'),
    cohort: join(folder, 'cohort.json'),
    cache: join(folder, 'cache'),
    patterns: join(folder, 'patterns.json'),
    metrics: join(folder, 'metrics.jsonl'),
    last: join(folder, 'last.safetensors'),
    best: join(folder, 'best.safetensors'),
    samples: join(folder, 'samples.json'),
    sampleVoxels: join(folder, 'samples.bin'),
  }
}

/** What a run leaves, but for prepared scans, which are used again where they still fit. */
const replaced = [
  'config.json',
  'cohort.json',
  'patterns.json',
  'embedding.safetensors',
  'metrics.jsonl',
  'last.safetensors',
  'best.safetensors',
  'samples.json',
  'samples.bin',
  'report.html',
  'result.json',
  'montages',
]

/** Removes a run from its folder, but for prepared scans. */
export async function clearRunFolder(folder: string): Promise<void> {
  for (const name of replaced) await rm(join(folder, name), { recursive: true, force: true })
}

/**
 * Opens the folder of a run: new, to be gone on with, or to be replaced (clearRunFolder does that).
 * @returns whether there is a run in it to go on with
 * @throws SemgenError BAD_OPTION when it holds something and neither --resume nor --force says what to do with it; IO
 */
export async function openRunFolder(
  folder: string,
  options: { readonly resume: boolean; readonly force: boolean },
): Promise<boolean> {
  const { resume, force } = options
  if (resume && force) throw new SemgenError('BAD_OPTION', '--resume and --force exclude each other.')
  try {
    await mkdir(folder, { recursive: true })
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder')
    const entries = (await readdir(folder)).filter((name) => !/^\..*\.tmp$/.test(name))
    const run = entries.includes('config.json')
    if (resume) return run
    if (force) return false
    if (run)
      throw new SemgenError(
        'BAD_OPTION',
        `${folder} already holds a run: go on with it (--resume), replace it (--force), or give another --out.`,
      )
    if (entries.some((name) => name !== 'cache'))
      throw new SemgenError(
        'BAD_OPTION',
        `${folder} is not empty and holds no run: give another --out, or --force to use it all the same.`,
      )
    return false
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `${folder} cannot be used for a run: ${reason(error)}.`, { cause: error })
  }
}
