import { createReadStream } from 'node:fs'
import { createInflateRaw } from 'node:zlib'
import { crc32 } from '../checksum.js'
import type { VoxelArray } from '../engine/volumes-addon.js'
import { reason, SemgenError, shown } from '../errors.js'
import { FileRanges } from '../file-ranges.js'
import { type ZipMember, zipDirectory } from '../zip-directory.js'
import { largestRatio } from './file-bytes.js'
import { type NpyHeader, npyHeaderLimit, parseNpyHeader } from './npy.js'
import { voxelsFrom } from './voxel-types.js'

/** Arrays larger than this are asked for row by row. */
const wholeLimit = 256 * 2 ** 20

/** One array of an archive. */
export interface NpzArray {
  readonly shape: readonly number[]
  readonly elementBytes: number
  /** Whether its elements are bytes from 0 to 255. */
  readonly unsignedBytes: boolean
  /** CRC-32 of the member: what tells its content from another's. */
  readonly crc: number
}

interface Entry extends NpzArray {
  readonly member: ZipMember
  readonly header: NpyHeader
}

/** A .npz archive: numpy's zip of .npy members, stored or deflated. Python objects in it are never read. */
export class Npz {
  readonly path: string
  readonly #entries: ReadonlyMap<string, Entry>

  private constructor(path: string, entries: ReadonlyMap<string, Entry>) {
    this.path = path
    this.#entries = entries
  }

  /**
   * Reads the directory, and the headers of the arrays that `wanted` names.
   * @throws SemgenError IO, BAD_FILE, UNSUPPORTED where a wanted array is no plain numbers or in another order
   */
  static async open(path: string, wanted: (name: string) => boolean = () => true): Promise<Npz> {
    const file = await FileRanges.open(path)
    try {
      const entries = new Map<string, Entry>()
      for (const [name, member] of await zipDirectory(file))
        if (name.endsWith('.npy') && wanted(name.slice(0, -4)))
          entries.set(name.slice(0, -4), await entryOf(path, member))
      return new Npz(path, entries)
    } finally {
      await file.close()
    }
  }

  get arrays(): ReadonlyMap<string, NpzArray> {
    return this.#entries
  }

  /**
   * The bytes of a[0], a[1], ..., in order, each last axis fastest. A row is valid until the next one is asked for.
   * @throws SemgenError BAD_FILE when the member is cut short or damaged, or does not match its check sum; IO
   */
  async *rows(name: string): AsyncGenerator<Uint8Array> {
    const { shape, elementBytes, header, member } = this.#entry(name)
    const [count = 1, ...rest] = shape
    const bytes = rest.reduce((product, extent) => product * extent, elementBytes)
    if (bytes > wholeLimit)
      throw new SemgenError(
        'UNSUPPORTED',
        `${this.path}: an element of ${name} takes ${bytes} bytes; ${wholeLimit} are the most.`,
      )
    const row = new Uint8Array(bytes)
    let [filled, done, skip] = [0, 0, header.offset]
    for await (const chunk of unpacked(this.path, member)) {
      let at = Math.min(skip, chunk.length)
      skip -= at
      while (at < chunk.length) {
        const taken = Math.min(bytes - filled, chunk.length - at)
        row.set(chunk.subarray(at, at + taken), filled)
        filled += taken
        at += taken
        if (filled === bytes && done < count) {
          done++
          filled = 0
          yield row
        }
      }
    }
  }

  /** All elements of a small array, last axis fastest; 64-bit whole numbers as float64. @throws as rows */
  async values(name: string): Promise<VoxelArray> {
    const { shape, elementBytes, header } = this.#entry(name)
    const count = shape.reduce((product, extent) => product * extent, 1)
    if (count * elementBytes > wholeLimit)
      throw new SemgenError(
        'UNSUPPORTED',
        `${this.path}: ${name} takes ${count * elementBytes} bytes; ${wholeLimit} are the most here.`,
      )
    const all = new Uint8Array(count * elementBytes)
    let at = 0
    for await (const row of this.rows(name)) {
      all.set(row, at)
      at += row.length
    }
    return voxelsFrom(header.type, all.buffer, 0, count, header.littleEndian)
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name)
    if (!entry) throw new SemgenError('BAD_FILE', `${this.path} has no array ${shown(name)}.`)
    return entry
  }
}

async function entryOf(path: string, member: ZipMember): Promise<Entry> {
  const where = `${path}: ${shown(member.name)}`
  if (!member.plain && !member.deflated)
    throw new SemgenError('UNSUPPORTED', `${where} is encrypted, or compressed in a way that is not read.`)
  if (member.content > member.bytes * largestRatio)
    throw new SemgenError('BAD_FILE', `${where} claims ${member.content} bytes, and ${member.bytes} cannot hold them.`)
  const header = parseNpyHeader(where, await headOf(path, member))
  const { shape, type, offset } = header
  if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0))
    throw new SemgenError(
      'BAD_FILE',
      `${where} has a header that claims ${shape.join(' x ')} elements, which cannot be.`,
    )
  const bytes = shape.reduce((product, extent) => product * extent, type.bytes)
  if (bytes !== member.content - offset)
    throw new SemgenError(
      'BAD_FILE',
      `${where} announces ${shape.join(' x ')} elements in ${bytes} bytes, and the archive holds ${member.content - offset}.`,
    )
  if (header.fortranOrder && shape.filter((extent) => extent > 1).length > 1)
    throw new SemgenError(
      'UNSUPPORTED',
      `${where} is stored first axis fastest: save it anew from numpy.ascontiguousarray.`,
    )
  return { shape, elementBytes: type.bytes, unsignedBytes: header.unsignedBytes, crc: member.crc, member, header }
}

async function headOf(path: string, member: ZipMember): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of unpacked(path, member)) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= npyHeaderLimit) break
  }
  return Buffer.concat(chunks).subarray(0, npyHeaderLimit)
}

/** A member's content, chunk by chunk; where it is read to its end, size and check sum are those of the directory. */
async function* unpacked(path: string, member: ZipMember): AsyncGenerator<Uint8Array> {
  const damaged = (why: string, cause?: unknown) =>
    new SemgenError('BAD_FILE', `${path} is cut short or damaged: its member ${shown(member.name)} ${why}.`, { cause })
  if (member.bytes === 0) {
    if (member.content !== 0) throw damaged('is empty')
    return
  }
  const stored = createReadStream(path, { start: member.offset, end: member.offset + member.bytes - 1 })
  const inflate = createInflateRaw()
  stored.on('error', (error) => inflate.destroy(error))
  let [length, sum] = [0, 0]
  try {
    for await (const chunk of (member.deflated ? stored.pipe(inflate) : stored) as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length > member.content) throw damaged(`unpacks to more than its ${member.content} bytes`)
      sum = crc32(chunk, sum)
      yield chunk
    }
  } catch (error) {
    if (error instanceof SemgenError) throw error
    const { syscall } = error as NodeJS.ErrnoException
    if (syscall) throw new SemgenError('IO', `${path} could not be read: ${reason(error)}.`, { cause: error })
    throw damaged('does not decompress', error)
  } finally {
    stored.destroy()
    inflate.destroy()
  }
  if (length !== member.content) throw damaged(`has ${length} of ${member.content} bytes`)
  if (sum !== member.crc) throw damaged('does not match its check sum')
}
