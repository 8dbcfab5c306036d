import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import { readBytes, readHead } from './file-bytes.js'
import { checkExtents, fileOrder, type Volume } from './volume.js'
import { type VoxelType, voxelsFrom, voxelTypes } from './voxel-types.js'

const types: Record<string, VoxelType> = {
  b1: voxelTypes.u8,
  u1: voxelTypes.u8,
  i1: voxelTypes.i8,
  u2: voxelTypes.u16,
  i2: voxelTypes.i16,
  u4: voxelTypes.u32,
  i4: voxelTypes.i32,
  u8: voxelTypes.u64,
  i8: voxelTypes.i64,
  f4: voxelTypes.f32,
  f8: voxelTypes.f64,
}

/** What a .npy header says of the array behind it. */
export interface NpyHeader {
  readonly shape: readonly number[]
  readonly type: VoxelType
  /** Whether elements are bytes from 0 to 255 (numpy's uint8). */
  readonly unsignedBytes: boolean
  readonly littleEndian: boolean
  /** Whether the first extent is fastest; otherwise the last is. */
  readonly fortranOrder: boolean
  /** Where the data begins, in bytes. */
  readonly offset: number
}

/** A header is within so many bytes: versions 2 and 3 allow more, for names of fields, which are not read. */
export const npyHeaderLimit = 65536

/**
 * Reads the header of a .npy file, versions 1 to 3.
 * @throws SemgenError BAD_FILE, UNSUPPORTED (Python objects among others) or IO
 */
export async function readNpyHeader(path: string): Promise<NpyHeader> {
  return parseNpyHeader(path, await readHead(path, npyHeaderLimit))
}

/**
 * The header that an array begins with.
 * @param path whose it is, for errors
 * @param bytes the first of the array, npyHeaderLimit of them, or all where it has fewer
 * @throws SemgenError BAD_FILE, UNSUPPORTED (Python objects among others)
 */
export function parseNpyHeader(path: string, bytes: Uint8Array): NpyHeader {
  const head = Buffer.from(bytes)
  if (head.length < 12 || head.toString('latin1', 0, 6) !== '\x93NUMPY')
    throw new SemgenError('BAD_FILE', `${path} is not a .npy file: it lacks the format's mark.`)
  const [length, start] = head[6] === 1 ? [head.readUInt16LE(8), 10] : [head.readUInt32LE(8), 12]
  const text = head.toString('latin1', start, start + length)
  const descr = /'descr':\s*'([<>|=])([a-zA-Z]\d+)'/.exec(text)
  const order = /'fortran_order':\s*(True|False)/.exec(text)
  const shape = /'shape':\s*\(([\d,\sL]*)\)/.exec(text)
  if (start + length > head.length || !order || !shape)
    throw new SemgenError('BAD_FILE', `${path} has a .npy header that cannot be read.`)
  const type = descr && types[descr[2]!]
  if (!type)
    throw new SemgenError('UNSUPPORTED', `${path} holds elements that are no plain numbers; those are not read.`)
  return {
    shape: shape[1]!
      .split(',')
      .map((extent) => extent.trim())
      .filter((extent) => extent !== '')
      .map((extent) => Number.parseInt(extent, 10)),
    type,
    unsignedBytes: descr[2] === 'u1',
    littleEndian: descr[1] !== '>',
    fortranOrder: order[1] === 'True',
    offset: start + length,
  }
}

/**
 * Reads a .npy array of two to four extents as a volume: (x, y, z) or (x, y, z, channels = 1). It has no geometry:
 * spacing 1 mm, axes to the right, to the front and up.
 * @throws SemgenError BAD_FILE, UNSUPPORTED or IO
 */
export async function readNpy(path: string): Promise<Volume> {
  const header = await readNpyHeader(path)
  const dims = header.shape.length === 4 && header.shape[3] === 1 ? header.shape.slice(0, 3) : [...header.shape]
  if (dims.length === 2) dims.push(1)
  if (dims.length !== 3)
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} is an array of ${header.shape.join(' x ')}; volumes have three extents.`,
    )
  checkExtents(path, dims)
  const shape = dims as unknown as Extents
  const voxels = shape[0] * shape[1] * shape[2]
  const buffer = await readBytes(path, voxels * header.type.bytes, header.offset)
  return {
    path,
    shape,
    channels: 1,
    spacing: [1, 1, 1],
    affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    data: voxelsFrom(header.type, buffer, 0, voxels, header.littleEndian),
    strides: header.fortranOrder ? fileOrder(shape) : [shape[1] * shape[2], shape[2], 1],
    slope: 1,
    intercept: 0,
  }
}
