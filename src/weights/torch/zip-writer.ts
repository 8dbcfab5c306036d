import { crc32 } from '../../checksum.js'
import { SemgenError } from '../../errors.js'

/** A member to be written as it is; `content` is called when its turn comes. */
export interface MemberToWrite {
  readonly name: string
  readonly bytes: number
  readonly content: () => Uint8Array
}

/** Contents begin at multiples of it, as PyTorch writes them, so that they can be mapped into memory. */
const alignment = 64
/** Without Zip64. */
const archiveLimit = 2 ** 32 - 1

/**
 * The bytes of a zip archive of members that are stored (PKWARE's APPNOTE 4.3). The date is 1980-01-01: the same weights
 * give the same bytes.
 * @param path named in errors
 * @throws SemgenError UNSUPPORTED from 4 GiB on, before anything is written
 */
export function zipBytes(path: string, members: readonly MemberToWrite[]): Iterable<Uint8Array> {
  const size = members.reduce((sum, { name, bytes }) => sum + bytes + 2 * name.length + 46 + 30 + alignment, 22)
  if (size > archiveLimit)
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} would take ${size} bytes, and .pt is written up to 4 GiB: use .safetensors.`,
    )
  return archive(members)
}

function* archive(members: readonly MemberToWrite[]): Iterable<Uint8Array> {
  const directory: Buffer[] = []
  let at = 0
  for (const { name, bytes, content } of members) {
    const data = content()
    const title = Buffer.from(name, 'utf8')
    // The extra field "FB" that PyTorch pads with.
    const padding = (alignment - ((at + 30 + title.length + 4) % alignment)) % alignment
    const extra = Buffer.alloc(4 + padding)
    extra.write('FB', 'latin1')
    extra.writeUInt16LE(padding, 2)
    const about = Buffer.alloc(26)
    about.writeUInt16LE(20, 0) // version that reads it: 2.0
    about.writeUInt16LE(0x800, 2) // names are UTF-8
    about.writeUInt16LE(0x21, 8) // 1980-01-01
    about.writeUInt32LE(crc32(data), 10)
    about.writeUInt32LE(bytes, 14)
    about.writeUInt32LE(bytes, 18)
    about.writeUInt16LE(title.length, 22)
    about.writeUInt16LE(extra.length, 24)
    yield Buffer.concat([Buffer.of(0x50, 0x4b, 3, 4), about, title, extra])
    yield data
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50)
    entry.writeUInt16LE(20, 4)
    about.copy(entry, 6)
    entry.writeUInt16LE(0, 30) // no extra field here
    entry.writeUInt32LE(at, 42)
    directory.push(entry, title)
    at += 30 + title.length + extra.length + bytes
  }
  const listed = Buffer.concat(directory)
  yield listed
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(at, 16)
  yield end
}
