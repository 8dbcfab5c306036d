import { basename } from 'node:path'
import { promisify } from 'node:util'
import { deflate, gzip } from 'node:zlib'
import { SemgenError, shown } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { writeAtomically } from '../files.js'
import { type Affine, spacingOf } from './volume.js'

/** What is written: voxels in memory order (z fastest), and where they lie. */
export interface ImageToWrite {
  readonly shape: Extents
  /** Voxel index -> RAS millimetres. */
  readonly affine: Affine
  /** (x, y, z), z fastest. */
  readonly data: Uint8Array | Int16Array | Uint16Array | Float32Array
}

const niftiTypes = { Uint8Array: [2, 8], Int16Array: [4, 16], Uint16Array: [512, 16], Float32Array: [16, 32] } as const
const metaTypes = {
  Uint8Array: 'MET_UCHAR',
  Int16Array: 'MET_SHORT',
  Uint16Array: 'MET_USHORT',
  Float32Array: 'MET_FLOAT',
}

type TypeName = keyof typeof niftiTypes
const typeName = (image: ImageToWrite) => image.data.constructor.name as TypeName

/** Writes .nii, .nii.gz, .mhd + .raw or .mha, as the name says. @throws SemgenError BAD_OPTION for other names, IO */
export async function writeVolume(path: string, image: ImageToWrite): Promise<void> {
  if (/\.nii(\.gz)?$/i.test(path)) return writeNifti(path, image)
  if (/\.mh[ad]$/i.test(path)) return writeMetaImage(path, image)
  throw new SemgenError('BAD_OPTION', `Volumes are written as .nii, .nii.gz, .mhd or .mha, not as ${shown(path)}.`)
}

/**
 * Writes NIfTI-1, gzipped where the name ends in .gz. The affine goes into the sform, as scanner coordinates.
 * @throws SemgenError IO, BAD_OPTION when an extent passes the format's 32767
 */
export async function writeNifti(path: string, image: ImageToWrite): Promise<void> {
  if (image.shape.some((extent) => extent > 32767))
    throw new SemgenError(
      'BAD_OPTION',
      `${path} cannot be NIfTI-1: an extent of ${image.shape.join(' x ')} passes 32767.`,
    )
  const header = Buffer.alloc(352)
  const [code, bits] = niftiTypes[typeName(image)]
  header.writeInt32LE(348, 0)
  for (const [i, extent] of [3, ...image.shape, 1, 1, 1, 1].entries()) header.writeInt16LE(extent, 40 + 2 * i)
  header.writeInt16LE(code, 70)
  header.writeInt16LE(bits, 72)
  for (const [i, size] of [1, ...spacingOf(image.affine), 1, 1, 1, 1].entries()) header.writeFloatLE(size, 76 + 4 * i)
  header.writeFloatLE(352, 108)
  header.writeFloatLE(1, 112)
  header.writeUInt8(2, 123) // millimetres
  header.writeInt16LE(1, 254) // sform: scanner coordinates
  for (const [i, value] of image.affine.slice(0, 12).entries()) header.writeFloatLE(value, 280 + 4 * i)
  header.write('n+1\0', 344, 'latin1')
  const bytes = Buffer.concat([header, fileOrderBytes(image)])
  await writeAtomically(path, path.endsWith('.gz') ? await promisify(gzip)(bytes, { level: 4 }) : bytes)
}

/**
 * Writes MetaImage: .mha with compressed voxels inside, or .mhd with a .raw beside it, written first.
 * @throws SemgenError IO
 */
export async function writeMetaImage(path: string, image: ImageToWrite): Promise<void> {
  const spacing = spacingOf(image.affine)
  // RAS to LPS: the first two coordinates are turned round. Row a of the matrix is the direction of axis a.
  const at = (row: number, column: number) => (row < 2 ? -1 : 1) * image.affine[row * 4 + column]! + 0
  const matrix = [0, 1, 2].flatMap((axis) => [0, 1, 2].map((row) => at(row, axis) / spacing[axis]!))
  const voxels = fileOrderBytes(image)
  const inside = /\.mha$/i.test(path)
  const raw = path.replace(/\.mhd$/i, '.raw')
  const packed = inside ? await promisify(deflate)(voxels, { level: 4 }) : voxels
  const header = [
    'ObjectType = Image',
    'NDims = 3',
    'BinaryData = True',
    'BinaryDataByteOrderMSB = False',
    `CompressedData = ${inside ? 'True' : 'False'}`,
    ...(inside ? [`CompressedDataSize = ${packed.length}`] : []),
    `TransformMatrix = ${matrix.join(' ')}`,
    `Offset = ${[0, 1, 2].map((row) => at(row, 3)).join(' ')}`,
    'CenterOfRotation = 0 0 0',
    'AnatomicalOrientation = RAI',
    `ElementSpacing = ${spacing.join(' ')}`,
    `DimSize = ${image.shape.join(' ')}`,
    `ElementType = ${metaTypes[typeName(image)]}`,
    `ElementDataFile = ${inside ? 'LOCAL' : basename(raw)}`,
    '',
  ].join('\n')
  if (inside) return writeAtomically(path, Buffer.concat([Buffer.from(header, 'latin1'), packed]))
  await writeAtomically(raw, voxels)
  await writeAtomically(path, header)
}

/** Voxels with x fastest, little-endian. */
function fileOrderBytes(image: ImageToWrite): Buffer {
  const [X, Y, Z] = image.shape
  if (image.data.length !== voxelCount(image.shape))
    throw new SemgenError('BAD_OPTION', `${image.data.length} voxels do not fill ${image.shape.join(' x ')}.`)
  const turned = new (image.data.constructor as new (length: number) => typeof image.data)(image.data.length)
  for (let x = 0; x < X; x++)
    for (let y = 0; y < Y; y++)
      for (let z = 0; z < Z; z++) turned[(z * Y + y) * X + x] = image.data[(x * Y + y) * Z + z]!
  return Buffer.from(turned.buffer, turned.byteOffset, turned.byteLength)
}
