import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { SemgenError, shown } from '../errors.js'
import type { Extents } from '../extents.js'
import { isFile, readBytes, readHead } from './file-bytes.js'
import { type Affine, checkAffine, checkExtents, fileOrder, type Volume } from './volume.js'
import { type VoxelType, voxelsFrom, voxelTypes } from './voxel-types.js'

const types: Record<string, VoxelType> = {
  MET_UCHAR: voxelTypes.u8,
  MET_CHAR: voxelTypes.i8,
  MET_USHORT: voxelTypes.u16,
  MET_SHORT: voxelTypes.i16,
  MET_UINT: voxelTypes.u32,
  MET_INT: voxelTypes.i32,
  MET_ULONG: voxelTypes.u32,
  MET_LONG: voxelTypes.i32,
  MET_ULONG_LONG: voxelTypes.u64,
  MET_LONG_LONG: voxelTypes.i64,
  MET_FLOAT: voxelTypes.f32,
  MET_DOUBLE: voxelTypes.f64,
}

/** A text header is a few hundred bytes; ElementDataFile is its last line. */
const largestHeader = 65536

/**
 * Reads MetaImage: .mhd with its .raw or .zraw beside it, or .mha. Its coordinates are LPS and become RAS.
 * @throws SemgenError BAD_FILE, UNSUPPORTED or IO
 */
export async function readMetaImage(path: string): Promise<Volume> {
  const head = Buffer.from(await readHead(path, largestHeader))
  const { fields, end } = parseHeader(path, head)
  const dimensions = Number(required(path, fields, 'ndims'))
  if (![2, 3, 4].includes(dimensions))
    throw new SemgenError('UNSUPPORTED', `${path} has ${dimensions} dimensions; 2 to 4 are read.`)
  const dims = numbers(path, fields, 'dimsize', dimensions)!
  while (dims.length < 3) dims.push(1)
  checkExtents(path, dims)
  if (Number(fields.get('elementnumberofchannels') ?? 1) !== 1)
    throw new SemgenError('UNSUPPORTED', `${path} holds several numbers a voxel; volumes of one are read.`)
  const typeName = required(path, fields, 'elementtype').toUpperCase()
  const type = types[typeName]
  if (!type) throw new SemgenError('UNSUPPORTED', `${path} holds elements of type ${typeName}, which are not read.`)
  if (/^false$/i.test(fields.get('binarydata') ?? 'true'))
    throw new SemgenError('UNSUPPORTED', `${path} stores voxels as text, which is not read.`)

  const shape = dims.slice(0, 3) as unknown as Extents
  const channels = dims[3] ?? 1
  const voxels = shape[0] * shape[1] * shape[2] * channels
  const bytes = voxels * type.bytes
  const { file, offset } = dataFile(path, required(path, fields, 'elementdatafile'), end)
  const compressed = /^true$/i.test(fields.get('compresseddata') ?? 'false')
  const stored = Number(fields.get('compresseddatasize') ?? 0)
  const skip = Number(fields.get('headersize') ?? 0)
  if (!(Number.isSafeInteger(skip) && skip >= -1))
    throw new SemgenError(
      'BAD_FILE',
      `${path} has the HeaderSize ${shown(fields.get('headersize'))}: a number of bytes was expected, or -1.`,
    )
  const buffer = compressed
    ? await inflated(file, offset, stored, bytes)
    : await readBytes(file, bytes, skip === -1 ? await startOfLast(file, bytes) : offset + skip)
  const big = /^true$/i.test(fields.get('binarydatabyteordermsb') ?? fields.get('elementbyteordermsb') ?? 'false')
  const { affine, spacing } = geometry(path, fields, dimensions)
  checkAffine(path, affine)
  return {
    path,
    shape,
    channels,
    spacing,
    affine,
    data: voxelsFrom(type, buffer, 0, voxels, !big),
    strides: fileOrder(shape),
    slope: 1,
    intercept: 0,
  }
}

function parseHeader(path: string, head: Buffer): { fields: Map<string, string>; end: number } {
  const fields = new Map<string, string>()
  let start = 0
  while (start < head.length) {
    const stop = head.indexOf(10, start)
    const line = head.toString('latin1', start, stop < 0 ? head.length : stop)
    start = stop < 0 ? head.length : stop + 1
    const match = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line)
    if (!match) {
      if (line.trim() === '') continue
      break
    }
    fields.set(match[1]!.toLowerCase(), match[2]!)
    if (match[1]!.toLowerCase() === 'elementdatafile') return { fields, end: start }
  }
  throw new SemgenError('BAD_FILE', `${path} is not a MetaImage: its text header does not end with ElementDataFile.`)
}

function required(path: string, fields: Map<string, string>, key: string): string {
  const value = fields.get(key)
  if (value === undefined) throw new SemgenError('BAD_FILE', `${path} lacks ${key} in its MetaImage header.`)
  return value
}

function numbers(path: string, fields: Map<string, string>, key: string, count: number): number[] | undefined {
  const text = fields.get(key)
  if (text === undefined) return undefined
  const values = text.split(/\s+/).map(Number)
  if (values.length < count || values.some((value) => !Number.isFinite(value)))
    throw new SemgenError(
      'BAD_FILE',
      `${path} has ${key} = ${text.slice(0, 60)} in its header, where ${count} numbers were expected.`,
    )
  return values.slice(0, count)
}

/** The file that holds the voxels: this one, or one beside it, never one elsewhere. */
function dataFile(path: string, name: string, end: number): { file: string; offset: number } {
  if (name === 'LOCAL') return { file: path, offset: end }
  if (name === 'LIST' || name.includes('%'))
    throw new SemgenError('UNSUPPORTED', `${path} spreads its voxels over several files, which is not read.`)
  if (name !== basename(name) || name === '..' || name === '.')
    throw new SemgenError(
      'BAD_FILE',
      `${path} points to ${name.slice(0, 80)} for its voxels; only a file beside it is read.`,
    )
  const file = join(dirname(path), name)
  if (!isFile(file)) throw new SemgenError('BAD_FILE', `${path} is the header of ${file}, which is no file.`)
  return { file, offset: 0 }
}

async function startOfLast(file: string, bytes: number): Promise<number> {
  return Math.max(0, (await stat(file)).size - bytes)
}

/** Zlib data from `offset`, of exactly `bytes` bytes once inflated. */
async function inflated(file: string, offset: number, stored: number, bytes: number): Promise<ArrayBuffer> {
  const size = stored > 0 ? stored : Math.max(0, (await stat(file).catch(() => ({ size: offset }))).size - offset)
  const packed = await readBytes(file, size, offset)
  if (bytes > size * 1032)
    throw new SemgenError('BAD_FILE', `${file} cannot hold the ${bytes} bytes that its header announces.`)
  try {
    const result = await promisify(inflate)(packed, { maxOutputLength: Math.max(bytes, 1) })
    if (result.length === bytes) return result.buffer.slice(result.byteOffset, result.byteOffset + bytes) as ArrayBuffer
  } catch (error) {
    throw new SemgenError(
      'BAD_FILE',
      `${file} is cut short or damaged: its zlib data does not decompress to ${bytes} bytes.`,
      { cause: error },
    )
  }
  throw new SemgenError(
    'BAD_FILE',
    `${file} is cut short: it holds fewer than the ${bytes} bytes that its header announces.`,
  )
}

function geometry(path: string, fields: Map<string, string>, dimensions: number): { affine: Affine; spacing: Extents } {
  const first = (...keys: string[]) => keys.find((key) => fields.has(key)) ?? keys[0]!
  const pad = (values: number[]) => [...values, 1, 1, 1].slice(0, 3)
  const spacing = pad((numbers(path, fields, first('elementspacing', 'elementsize'), dimensions) ?? []).map(Math.abs))
  const offset = [...(numbers(path, fields, first('offset', 'position', 'origin'), dimensions) ?? []), 0, 0, 0]
  const matrix = numbers(path, fields, first('transformmatrix', 'rotation', 'orientation'), dimensions * dimensions)
  // Row a of the matrix is the direction of the file's axis a. LPS to RAS turns the first two coordinates round.
  const direction = (axis: number, row: number) =>
    matrix && axis < dimensions && row < dimensions ? matrix[axis * dimensions + row]! : axis === row ? 1 : 0
  const affine: number[] = []
  for (let row = 0; row < 3; row++) {
    const sign = row < 2 ? -1 : 1
    for (let axis = 0; axis < 3; axis++) affine.push(sign * direction(axis, row) * spacing[axis]!)
    affine.push(sign * offset[row]!)
  }
  return { affine: [...affine.map((value) => value + 0), 0, 0, 0, 1], spacing: spacing as unknown as Extents }
}
