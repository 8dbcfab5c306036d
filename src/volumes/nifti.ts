import { type NIFTI1, type NIFTI2, readHeader } from 'nifti-reader-js'
import { reason, SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import { isFile, readBytes, readHead } from './file-bytes.js'
import { type Affine, checkAffine, checkExtents, fileOrder, spacingOf, type Volume } from './volume.js'
import { type VoxelType, voxelsFrom, voxelTypes } from './voxel-types.js'

/** Data type codes of the NIfTI standard that hold one number a voxel. */
const types: Record<number, VoxelType> = {
  2: voxelTypes.u8,
  4: voxelTypes.i16,
  8: voxelTypes.i32,
  16: voxelTypes.f32,
  64: voxelTypes.f64,
  256: voxelTypes.i8,
  512: voxelTypes.u16,
  768: voxelTypes.u32,
  1024: voxelTypes.i64,
  1280: voxelTypes.u64,
}

const otherTypes: Record<number, string> = {
  1: 'single bits',
  32: 'complex numbers',
  128: 'RGB colours',
  1536: '128-bit floats',
  1792: 'complex numbers',
  2048: 'complex numbers',
  2304: 'RGBA colours',
}

/** NIfTI-1's header takes 348 bytes and NIfTI-2's 540, of which the first four tell which. */
const headerBytes = 544

/**
 * Reads NIfTI-1 or -2: .nii, .nii.gz, or a pair .hdr + .img, either byte order. The geometry is nibabel's: the sform,
 * else the qform, else the spacing alone with x to the left and the origin in the middle.
 * @throws SemgenError BAD_FILE, UNSUPPORTED or IO
 */
export async function readNifti(path: string): Promise<Volume> {
  const head = await readHead(path, headerBytes)
  const header = parseHeader(path, head)
  const count = Math.min(Math.max(header.dims[0] ?? 0, 1), 7)
  const dims = header.dims.slice(1, count + 1).map((extent, axis) => (axis >= 2 && extent === 0 ? 1 : extent))
  while (dims.length < 3) dims.push(1)
  checkExtents(path, dims)
  const shape = dims.slice(0, 3) as unknown as Extents
  const channels = dims.slice(3).reduce((product, extent) => product * extent, 1)
  const type = types[header.datatypeCode]
  if (!type) {
    const what = otherTypes[header.datatypeCode] ?? `data of type ${header.datatypeCode}`
    throw new SemgenError('UNSUPPORTED', `${path} holds ${what}; volumes of one number a voxel are read.`)
  }
  const voxels = shape[0] * shape[1] * shape[2] * channels
  const pair = header.magic.startsWith('ni')
  const offset = voxelsAt(path, header, pair)
  const file = pair ? imageOf(path) : path
  const buffer = await readBytes(file, offset + voxels * type.bytes)
  const affine = affineOf(header, new DataView(head.buffer, head.byteOffset, head.length), shape)
  checkAffine(path, affine)
  const scaled = Number.isFinite(header.scl_slope) && header.scl_slope !== 0 && Number.isFinite(header.scl_inter)
  return {
    path,
    shape,
    channels,
    spacing: spacingOf(affine),
    affine,
    data: voxelsFrom(type, buffer, offset, voxels, header.littleEndian),
    strides: fileOrder(shape),
    slope: scaled ? header.scl_slope : 1,
    intercept: scaled ? header.scl_inter : 0,
  }
}

function parseHeader(path: string, head: Uint8Array): NIFTI1 | NIFTI2 {
  const magic = (at: number) => Buffer.from(head.subarray(at, at + 3)).toString('latin1')
  const known = ['n+1', 'ni1'].includes(magic(344)) || ['n+2', 'ni2'].includes(magic(4))
  if (!known) {
    const analyze = head.length >= 348 && [0x5c010000, 0x0000015c].includes(Buffer.from(head).readUInt32BE(0))
    throw analyze
      ? new SemgenError(
          'UNSUPPORTED',
          `${path} is an Analyze 7.5 file, which does not say where left and right are; convert it to NIfTI.`,
        )
      : new SemgenError('BAD_FILE', `${path} is not a NIfTI file: its header lacks the format's mark.`)
  }
  try {
    // The library takes an ArrayBuffer, and looks for extensions behind the header: enough zeros mean there are none.
    const padded = new Uint8Array(headerBytes + 16)
    padded.set(head)
    padded[magic(344).startsWith('n') ? 348 : 540] = 0
    const header = readHeader(padded.buffer, true)
    if (header) return header
  } catch (error) {
    throw new SemgenError('BAD_FILE', `${path} has a NIfTI header that cannot be read: ${reason(error)}.`, {
      cause: error,
    })
  }
  throw new SemgenError('BAD_FILE', `${path} has a NIfTI header that cannot be read.`)
}

/**
 * Where voxels begin. In a file with its header they come after it and the four bytes that tell of extensions: 0 stands for that.
 * @throws SemgenError BAD_FILE when they would lie in the header or nowhere
 */
function voxelsAt(path: string, { vox_offset: offset, magic }: NIFTI1 | NIFTI2, pair: boolean): number {
  const header = pair ? 0 : magic.startsWith('n+2') ? 540 : 348
  const at = offset === 0 && !pair ? header + 4 : offset
  if (Number.isSafeInteger(at) && at >= header) return at
  throw new SemgenError('BAD_FILE', `${path} has its voxels begin at byte ${offset}; ${header} or more was expected.`)
}

/** The .img beside a .hdr, compressed or not. */
function imageOf(path: string): string {
  const base = path.replace(/\.(hdr|img)(\.gz)?$/i, '')
  const found = [`${base}.img`, `${base}.img.gz`].find(isFile)
  if (found) return found
  throw new SemgenError('BAD_FILE', `${path} is the header of ${base}.img, which does not exist.`)
}

function affineOf(header: NIFTI1 | NIFTI2, view: DataView, shape: Extents): Affine {
  const second = header.magic.startsWith('n+2') || header.magic.startsWith('ni2')
  const spacing = [1, 2, 3].map((axis) => Math.abs(header.pixDims[axis]!) || 1)
  if (header.sform_code > 0) {
    const at = (index: number) =>
      second
        ? view.getFloat64(400 + 8 * index, header.littleEndian)
        : view.getFloat32(280 + 4 * index, header.littleEndian)
    return [...Array.from({ length: 12 }, (_, index) => at(index)), 0, 0, 0, 1]
  }
  if (header.qform_code > 0) {
    const [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d]
    const a = Math.sqrt(Math.max(0, 1 - (b * b + c * c + d * d)))
    const handed = header.pixDims[0]! < 0 ? -1 : 1
    const [x, y, z] = [spacing[0]!, spacing[1]!, spacing[2]! * handed]
    return [
      (a * a + b * b - c * c - d * d) * x,
      2 * (b * c - a * d) * y,
      2 * (b * d + a * c) * z,
      header.qoffset_x,
      2 * (b * c + a * d) * x,
      (a * a + c * c - b * b - d * d) * y,
      2 * (c * d - a * b) * z,
      header.qoffset_y,
      2 * (b * d - a * c) * x,
      2 * (c * d + a * b) * y,
      (a * a + d * d - c * c - b * b) * z,
      header.qoffset_z,
      ...[0, 0, 0, 1],
    ]
  }
  const middle = shape.map((extent, axis) => (spacing[axis]! * (extent - 1)) / 2)
  const [x, y, z] = spacing as [number, number, number]
  return [-x, 0, 0, middle[0]!, 0, y, 0, -middle[1]!, 0, 0, z, -middle[2]!, 0, 0, 0, 1]
}
