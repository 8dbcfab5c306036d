import { SemgenError, shown } from './errors.js'
import type { FileRanges } from './file-ranges.js'

/** Where one member of a zip archive lies, as it is stored. */
export interface ZipMember {
  readonly name: string
  readonly offset: number
  /** As stored, and unpacked. */
  readonly bytes: number
  readonly content: number
  /** Neither compressed nor encrypted. */
  readonly plain: boolean
  /** Compressed by Deflate, and not encrypted. */
  readonly deflated: boolean
  /** CRC-32 of the content. */
  readonly crc: number
}

/** A member as the directory lists it: by its local header, which its content follows. */
type Listed = Omit<ZipMember, 'offset'> & { readonly header: number }

/** A Y-Net's checkpoint with Adam has 330 members. */
const memberLimit = 100_000
const directoryLimit = 64 * 2 ** 20

/**
 * The members of a zip archive by name, from its central directory (PKWARE's APPNOTE 4.3, with Zip64).
 * @throws SemgenError BAD_FILE when it is cut or contradicts itself
 */
export async function zipDirectory(file: FileRanges): Promise<Map<string, ZipMember>> {
  const { path } = file
  const damaged = (why: string) => new SemgenError('BAD_FILE', `${path} is cut short or damaged: ${why}.`)
  const { count, offset, bytes } = await findDirectory(file, damaged)
  if (count > memberLimit || bytes > directoryLimit || offset + bytes > file.size)
    throw damaged(`its zip directory of ${bytes} bytes for ${count} members does not fit`)
  const buffer = await file.read(offset, bytes)
  const view = new DataView(buffer)
  const members = new Map<string, Listed>()
  let at = 0
  for (let index = 0; index < count; index++) {
    if (at + 46 > bytes || view.getUint32(at, true) !== 0x02014b50) throw damaged('its zip directory breaks off')
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) => view.getUint16(at + place, true))
    const end = at + 46 + nameBytes! + extraBytes! + commentBytes!
    if (end > bytes) throw damaged('its zip directory breaks off')
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameBytes))
    const open = (view.getUint16(at + 8, true) & 1) === 0
    const method = view.getUint16(at + 10, true)
    const [plain, deflated] = [open && method === 0, open && method === 8]
    const crc = view.getUint32(at + 16, true)
    const extra = new DataView(buffer, at + 46 + nameBytes!, extraBytes)
    const [content, packed, header] = widened(view, at, extra, damaged)
    if (plain && packed !== content) throw damaged(`its member ${shown(name)} has two sizes, ${packed} and ${content}`)
    if (members.has(name)) throw damaged(`it has two members ${shown(name)}`)
    members.set(name, { name, header: header!, bytes: packed!, content: content!, plain, deflated, crc })
    at = end
  }
  return located(file, members, offset, damaged)
}

/** The end record, from the back: a comment of up to 64 KiB may follow it. */
async function findDirectory(file: FileRanges, damaged: (why: string) => SemgenError) {
  const tailBytes = Math.min(file.size, 22 + 0xffff)
  const tail = new DataView(await file.read(file.size - tailBytes, tailBytes))
  let end = tailBytes - 22
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end--
  if (end < 0) throw damaged('its zip directory is not at its end')
  const small = {
    count: tail.getUint16(end + 10, true),
    bytes: tail.getUint32(end + 12, true),
    offset: tail.getUint32(end + 16, true),
  }
  if (small.count !== 0xffff && small.bytes !== 0xffffffff && small.offset !== 0xffffffff) return small
  if (end < 20 || tail.getUint32(end - 20, true) !== 0x07064b50) throw damaged('its Zip64 locator is missing')
  const place = Number(tail.getBigUint64(end - 12, true))
  const record = new DataView(await file.read(place, 56))
  if (record.getUint32(0, true) !== 0x06064b50) throw damaged('its Zip64 directory is missing')
  return {
    count: Number(record.getBigUint64(32, true)),
    bytes: Number(record.getBigUint64(40, true)),
    offset: Number(record.getBigUint64(48, true)),
  }
}

/** Content bytes, packed bytes and header offset of a directory entry, in 64 bits where the 32 are full. */
function widened(view: DataView, at: number, extra: DataView, damaged: (why: string) => SemgenError): number[] {
  const values = [24, 20, 42].map((place) => view.getUint32(at + place, true))
  if (!values.includes(0xffffffff)) return values
  for (let place = 0; place + 4 <= extra.byteLength; ) {
    const bytes = extra.getUint16(place + 2, true)
    if (extra.getUint16(place, true) === 1) {
      let next = place + 4
      return values.map((value) => {
        if (value !== 0xffffffff) return value
        if (next + 8 > Math.min(place + 4 + bytes, extra.byteLength)) throw damaged('a Zip64 size is missing')
        next += 8
        return Number(extra.getBigUint64(next - 8, true))
      })
    }
    place += 4 + bytes
  }
  throw damaged('a Zip64 size is missing')
}

/** Where contents begin, past their local headers. Members that overlap are how archives lie about their size. */
async function located(
  file: FileRanges,
  members: ReadonlyMap<string, Listed>,
  directory: number,
  damaged: (why: string) => SemgenError,
): Promise<Map<string, ZipMember>> {
  const places = new Map<string, ZipMember>()
  let free = 0
  for (const [name, { header, ...member }] of [...members].sort(([, a], [, b]) => a.header - b.header)) {
    const { bytes } = member
    if (header < free || header + 30 > directory) throw damaged(`its member ${shown(name)} overlaps another part`)
    const local = new DataView(await file.read(header, 30))
    const offset = header + 30 + local.getUint16(26, true) + local.getUint16(28, true)
    if (local.getUint32(0, true) !== 0x04034b50 || offset + bytes > directory)
      throw damaged(`its member ${shown(name)} is not where its directory says`)
    places.set(name, { ...member, offset })
    free = offset + bytes
  }
  return new Map([...members.keys()].map((name) => [name, places.get(name)!]))
}
