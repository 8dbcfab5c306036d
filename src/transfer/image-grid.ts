import type { Extents } from '../extents.js'
import { orientationOf, type Volume } from '../volumes/index.js'

/**
 * Two rows of voxels that cover the same millimetres: for each of `to` voxels, which of `from` holds its centre. It never
 * falls, and where both are alike each voxel is under itself.
 */
export const voxelsUnder = (from: number, to: number): Int32Array =>
  Int32Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(((i + 0.5) * from) / to)))

/**
 * From the prepared grid (canonical order) to the file's own: each voxel of the file takes the prepared voxel that holds
 * its centre. Both arrays have z, the last axis, fastest.
 */
export function toFile<T extends Uint8Array | Float32Array>(
  data: T,
  shape: Extents,
  image: Pick<Volume, 'shape' | 'affine'>,
  into: T,
): T {
  const { axes, flipped } = orientationOf(image.affine)
  const strides = [shape[1] * shape[2], shape[2], 1]
  // For each of the file's axes: where the prepared voxels lie that are under its indices, along the body axis it runs along.
  const offsets = [0, 1, 2].map((axis) => {
    const body = axes.indexOf(axis)
    const under = voxelsUnder(shape[body]!, image.shape[axis]!)
    return Float64Array.from(flipped[body] ? under.reverse() : under, (index) => index * strides[body]!)
  }) as [Float64Array, Float64Array, Float64Array]
  let to = 0
  for (const i of offsets[0]) for (const j of offsets[1]) for (const k of offsets[2]) into[to++] = data[i + j + k]!
  return into
}
