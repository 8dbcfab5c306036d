import { createReadStream, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { addon } from '../engine/addon.js'
import { fromNative } from '../engine/native-error.js'
import { reason, SemgenError } from '../errors.js'

/** Deflate cannot do better than 1032 bytes out of one (zlib's technical notes), so a claim beyond that is a lie. */
export const largestRatio = 1032

/** Deflate is the only method that gzip has (RFC 1952): the third byte tells voxels of 31 and 139 from it. */
const isGzip = (head: Uint8Array) => head[0] === 0x1f && head[1] === 0x8b && head[2] === 8

/**
 * The first bytes of a file, inflated where it is gzip: at most `count`, fewer where it is shorter.
 * @throws SemgenError IO or BAD_FILE
 */
export async function readHead(path: string, count: number): Promise<Uint8Array> {
  const head = await withFile(path, async (file) => {
    const buffer = Buffer.alloc(count)
    const { bytesRead } = await file.read(buffer, 0, count, 0)
    return buffer.subarray(0, bytesRead)
  })
  if (!isGzip(head)) return head
  const chunks: Buffer[] = []
  let length = 0
  const source = createReadStream(path, { highWaterMark: 16384 })
  const gunzip = source.pipe(createGunzip())
  source.on('error', (error) => gunzip.destroy(error))
  try {
    for await (const chunk of gunzip) {
      chunks.push(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length >= count) break
    }
  } catch (error) {
    if (length < count)
      throw new SemgenError('BAD_FILE', `${path} is cut short or damaged: its gzip data does not decompress.`, {
        cause: error,
      })
  } finally {
    source.destroy()
  }
  return Buffer.concat(chunks).subarray(0, count)
}

/**
 * `count` bytes of a file from `offset` on, inflated where it is gzip. What the file cannot hold is refused before memory is asked for.
 * @throws SemgenError BAD_FILE when it holds fewer or no file can, IO, OUT_OF_MEMORY
 */
export async function readBytes(path: string, count: number, offset = 0): Promise<ArrayBuffer> {
  return withFile(path, async (file) => {
    if (![offset, count].every((number) => Number.isSafeInteger(number) && number >= 0))
      throw new SemgenError('BAD_FILE', `${path} announces ${count} bytes from byte ${offset} on, which cannot be.`)
    const { size } = await file.stat()
    const head = Buffer.alloc(3)
    await file.read(head, 0, 3, 0)
    const gzip = isGzip(head)
    const most = gzip ? size * largestRatio : size
    if (offset + count > most)
      throw new SemgenError(
        'BAD_FILE',
        `${path} is cut short: its header announces ${offset + count} bytes, and a file of ${size} bytes cannot hold them.`,
      )
    if (gzip) {
      try {
        const inflated = await addon().inflateGzip(path, offset + count)
        return offset === 0 ? inflated : inflated.slice(offset)
      } catch (error) {
        throw fromNative(error)
      }
    }
    const buffer = allocate(path, count)
    const view = new Uint8Array(buffer)
    let read = 0
    while (read < count) {
      const { bytesRead } = await file.read(view, read, Math.min(count - read, 2 ** 30), offset + read)
      if (bytesRead === 0) throw new SemgenError('BAD_FILE', `${path} was cut short while it was read.`)
      read += bytesRead
    }
    return buffer
  })
}

/** Whether something of that name is there, and is no folder. */
export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

/** @throws SemgenError OUT_OF_MEMORY */
export function allocate(path: string, bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch (error) {
    const mebibytes = Math.ceil(bytes / 2 ** 20)
    throw new SemgenError('OUT_OF_MEMORY', `${path} needs ${mebibytes} MiB of memory to be read.`, { cause: error })
  }
}

async function withFile<T>(path: string, body: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new SemgenError(
      'IO',
      missing ? `${path} does not exist.` : `${path} could not be opened: ${reason(error)}.`,
      { cause: error },
    )
  }
  try {
    return await body(file)
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `${path} could not be read: ${reason(error)}.`, { cause: error })
  } finally {
    await file.close()
  }
}
