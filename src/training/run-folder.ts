import { realpathSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { checkResume, optionName } from '../config/index.js'
import { reason, SemgenError } from '../errors.js'
import { isTemporary, removeTemporary } from '../files.js'
import { holdFolder, lockName } from '../hold-folder.js'

/** Where the files of a run are. */
export interface RunFiles {
  readonly folder: string
  readonly config: string
  readonly cohort: string
  readonly cache: string
  readonly patterns: string
  readonly montages: string
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
    montages: join(folder, 'montages'),
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

/**
 * What a run is given to read, by option: it is not looked for where the run writes. `source` is the scans; undefined
 * paths were not given.
 */
export type Inputs = Readonly<Record<string, string | readonly string[] | undefined>>

/** A run was stopped before it took the place of what its folder holds: there is nothing of it to go on with. */
export class NothingReplaced extends SemgenError {
  constructor(folder: string, signal: AbortSignal, cause: unknown) {
    super('ABORTED', `${reason(signal.reason)} Nothing in ${folder} was replaced yet.`, { cause })
  }
}

/** A run's folder, held by this process until it is closed. */
export class RunFolder {
  readonly files: RunFiles
  /** Whether there is a run in it to go on with. */
  readonly goingOn: boolean
  /** Whether there is something in it that a new run replaces. */
  readonly #replacing: boolean
  readonly #letGo: () => void

  constructor(files: RunFiles, goingOn: boolean, replacing: boolean, letGo: () => void) {
    this.files = files
    this.goingOn = goingOn
    this.#replacing = replacing
    this.#letGo = letGo
  }

  /**
   * Called when it is known that the run is possible, as far as that can be known beforehand: removes what a new run
   * replaces, and writes its first files. Where these cannot be written, none is left: the corrected command needs no
   * --force. Of a run that is gone on with nothing is removed.
   */
  async begin(write: () => Promise<void>): Promise<void> {
    if (this.goingOn) return write()
    await this.#clear()
    try {
      await write()
    } catch (error) {
      await this.#clear()
      throw error
    }
  }

  /** What to throw when the run failed, or was stopped, before it began. */
  notBegun(error: unknown, signal: AbortSignal | undefined): unknown {
    if (!signal?.aborted || !this.#replacing) return error
    return new NothingReplaced(this.files.folder, signal, error)
  }

  /** Lets others use it. */
  close(): void {
    this.#letGo()
  }

  async #clear(): Promise<void> {
    for (const name of replaced) await rm(join(this.files.folder, name), { recursive: true, force: true })
  }
}

/**
 * Opens the folder of a run: new, to be gone on with, or to be replaced. Nothing that it holds is removed yet, but for
 * what processes that were killed while they wrote left behind.
 * @throws SemgenError BAD_OPTION when it holds something and neither --resume nor --force says what to do with it, when
 *   another process uses it, or when --force would replace an input; IO
 */
export async function openRunFolder(
  folder: string,
  options: { readonly resume: boolean; readonly force: boolean },
  inputs: Inputs = {},
): Promise<RunFolder> {
  const { resume, force } = options
  checkResume(options)
  if (force) refuseInside(folder, inputs)
  const letGo = await holdFolder(folder)
  try {
    const files = runFiles(folder)
    const entries = await entriesOf(folder)
    const run = entries.includes('config.json')
    const other = entries.some((name) => name !== 'cache')
    if (!force && !(resume && run) && other) throw new SemgenError('BAD_OPTION', taken(folder, resume, run))
    for (const at of [folder, files.cache, files.montages]) await removeTemporary(at)
    return new RunFolder(files, resume && run, force && other, letGo)
  } catch (error) {
    letGo()
    throw error
  }
}

function taken(folder: string, resume: boolean, run: boolean): string {
  if (resume)
    return `${folder} holds no run to go on with, as it has no config.json, and is not empty: give the folder of a run, or another --out.`
  return run
    ? `${folder} already holds a run: go on with it (--resume), replace it (--force), or give another --out.`
    : `${folder} is not empty and holds no run: give another --out, or --force to use it all the same.`
}

/** What is in a folder, but for locks and what is not whole. */
export async function entriesOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name !== lockName && !isTemporary(name))
}

/**
 * Refuses inputs that lie where --force replaces what there is.
 * @throws SemgenError BAD_OPTION naming the first
 */
export function refuseInside(folder: string, inputs: Inputs): void {
  const root = realPath(folder)
  for (const [key, given] of Object.entries(inputs))
    for (const path of [given ?? []].flat()) {
      const from = relative(root, realPath(path))
      if (from !== '..' && !from.startsWith(`..${sep}`) && !isAbsolute(from))
        throw new SemgenError(
          'BAD_OPTION',
          `${path} (${key === 'source' ? 'the scans' : optionName(key)}) lies in ${folder}, which --force replaces: move it elsewhere, or give another --out.`,
        )
    }
}

/** Without links, as far as it is there. */
function realPath(path: string): string {
  const absolute = resolve(path)
  try {
    return realpathSync(absolute)
  } catch {
    const up = dirname(absolute)
    return up === absolute ? absolute : join(realPath(up), basename(absolute))
  }
}
