import type { VoxelArray } from '../engine/volumes-addon.js'

/** How voxels of a type lie in a file. 64-bit whole numbers are read as float64: exact to 2^53. */
export interface VoxelType {
  readonly bytes: 1 | 2 | 4 | 8
  /** The array over bytes in this machine's order, at an aligned offset. */
  view(buffer: ArrayBuffer, offset: number, count: number): VoxelArray
}

type Constructor = new (buffer: ArrayBuffer, offset: number, count: number) => VoxelArray

const plain = (bytes: VoxelType['bytes'], Elements: Constructor): VoxelType => ({
  bytes,
  view: (buffer, offset, count) => new Elements(buffer, offset, count),
})

const wide = (Elements: typeof BigInt64Array | typeof BigUint64Array): VoxelType => ({
  bytes: 8,
  view: (buffer, offset, count) => Float64Array.from(new Elements(buffer, offset, count) as Iterable<bigint>, Number),
})

export const voxelTypes = {
  u8: plain(1, Uint8Array),
  i8: plain(1, Int8Array),
  u16: plain(2, Uint16Array),
  i16: plain(2, Int16Array),
  u32: plain(4, Uint32Array),
  i32: plain(4, Int32Array),
  f32: plain(4, Float32Array),
  f64: plain(8, Float64Array),
  i64: wide(BigInt64Array),
  u64: wide(BigUint64Array),
} satisfies Record<string, VoxelType>

/** Voxels out of file bytes: swapped in place where the file is of the other byte order, moved where it is unaligned. */
export function voxelsFrom(
  type: VoxelType,
  buffer: ArrayBuffer,
  offset: number,
  count: number,
  littleEndian: boolean,
): VoxelArray {
  let start = offset
  let bytes = buffer
  if (start % type.bytes !== 0) {
    bytes = buffer.slice(start, start + count * type.bytes)
    start = 0
  }
  if (!littleEndian && type.bytes > 1) {
    const view = Buffer.from(bytes, start, count * type.bytes)
    if (type.bytes === 2) view.swap16()
    else if (type.bytes === 4) view.swap32()
    else view.swap64()
  }
  return type.view(bytes, start, count)
}
