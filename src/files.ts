import { randomBytes } from 'node:crypto'
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { reason, SemgenError } from './errors.js'

/**
 * Writes a whole file or nothing: to a temporary name beside it, synced, then renamed.
 * @throws SemgenError IO when the disk is full or the folder cannot be written; the old file is then untouched.
 */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}.tmp`)
  try {
    const file = await open(temporary, 'wx')
    try {
      if (typeof content === 'string' || content instanceof Uint8Array) await file.writeFile(content)
      else for await (const chunk of content) await file.writeFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    if (error instanceof SemgenError) throw error
    const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
    throw new SemgenError(
      'IO',
      full ? `The disk is full: ${path} was not written.` : `${path} could not be written: ${reason(error)}.`,
      {
        cause: error,
      },
    )
  }
}

/** What writeAtomically calls a file while it is not whole: .name.1a2b3c4d.tmp */
export const isTemporary = (name: string): boolean => /^\..+\.[0-9a-f]{8}\.tmp$/s.test(name)

/**
 * Removes what processes that were killed while they wrote left in a folder: each may be as large as a checkpoint. Only
 * for a folder that nobody else writes to.
 */
export async function removeTemporary(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries)
    if (entry.isFile() && isTemporary(entry.name)) await rm(join(folder, entry.name), { force: true })
}

/**
 * Reads and parses a JSON file of at most `limit` bytes.
 * @throws SemgenError IO when it cannot be read, BAD_FILE when it is larger than that or no JSON.
 */
export async function readJson(path: string, limit = 256 * 2 ** 20): Promise<unknown> {
  let text: string
  try {
    const { size } = await stat(path)
    if (size > limit)
      throw new SemgenError('BAD_FILE', `${path} is ${size} bytes, more than the ${limit} expected of such a file.`)
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `${path} could not be read: ${reason(error)}.`, { cause: error })
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new SemgenError('BAD_FILE', `${path} is not valid JSON: ${reason(error)}.`, { cause: error })
  }
}
