import type { RawScan, VoxelArray } from '../engine/volumes-addon.js'
import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'

/** 4 x 4, row after row: voxel index (i, j, k, 1) -> RAS+ millimetres (x right, y front, z up). */
export type Affine = readonly number[]

/** A volume as it was read: voxels as stored, geometry as the file says. */
export interface Volume {
  readonly path: string
  /** Voxels along the file's three axes. */
  readonly shape: Extents
  /** Volumes one after another in `data`: the product of a file's extents beyond the third. */
  readonly channels: number
  /** Millimetres between voxels along the file's axes. */
  readonly spacing: Extents
  readonly affine: Affine
  /** Voxels as stored; a value is `data[i] * slope + intercept`. */
  readonly data: VoxelArray
  /** Elements from one voxel to the next along each axis: [1, nx, nx * ny] where x is fastest. */
  readonly strides: Extents
  readonly slope: number
  readonly intercept: number
}

/** Which of the file's axes runs along each of x (right), y (front), z (up), and whether against it. */
export interface Orientation {
  readonly axes: Extents
  readonly flipped: readonly [boolean, boolean, boolean]
  /** As nibabel writes it: "RAS", "LPI"; the direction each of the file's axes runs to. */
  readonly code: string
}

/**
 * The closest orientation along the body's axes: each of the file's axes goes to the body axis it runs along most, the
 * clearest first, so that oblique scans are kept as they lie and only turned by quarter turns and flips.
 */
export function orientationOf(affine: Affine): Orientation {
  const cosines = [0, 1, 2].map((axis) => {
    const column = [0, 1, 2].map((row) => affine[row * 4 + axis]!)
    const length = Math.hypot(...column) || 1
    return column.map((value) => value / length)
  })
  const pairs = cosines.flatMap((column, axis) => column.map((value, body) => ({ axis, body, value })))
  pairs.sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
  const axes = [-1, -1, -1]
  const flipped: [boolean, boolean, boolean] = [false, false, false]
  const letters = ['', '', '']
  for (const { axis, body, value } of pairs) {
    if (axes[body] !== -1 || axes.includes(axis)) continue
    axes[body] = axis
    flipped[body] = value < 0
    letters[axis] = ['RL', 'AP', 'SI'][body]![value < 0 ? 1 : 0]!
  }
  return { axes: axes as unknown as Extents, flipped, code: letters.join('') }
}

/** Volume `channel` of a file, seen in canonical order (RAS, z fastest), and the geometry that goes with it. */
export function canonical(
  volume: Volume,
  channel = 0,
): { scan: RawScan; spacing: Extents; affine: Affine; code: string } {
  const { axes, flipped, code } = orientationOf(volume.affine)
  const pick = (values: readonly number[]) => axes.map((axis) => values[axis]!) as unknown as Extents
  const shape = pick(volume.shape)
  const strides = pick(volume.strides)
  let offset = channel * voxelCount(volume.shape)
  const affine = [...volume.affine]
  for (let row = 0; row < 3; row++) {
    let origin = volume.affine[row * 4 + 3]!
    for (let body = 0; body < 3; body++) {
      const column = volume.affine[row * 4 + axes[body]!]!
      affine[row * 4 + body] = flipped[body] ? -column : column
      if (flipped[body]) origin += column * (shape[body]! - 1)
    }
    affine[row * 4 + 3] = origin
  }
  const turned = strides.map((stride, body) => {
    if (!flipped[body]) return stride
    offset += stride * (shape[body]! - 1)
    return -stride
  }) as unknown as Extents
  const { data, slope, intercept } = volume
  return {
    scan: { data, offset, strides: turned, shape, slope, intercept },
    spacing: pick(volume.spacing),
    affine,
    code,
  }
}

/** All values of a volume, scaled, in the file's order. For small volumes and tests. */
export function scaledValues(volume: Volume): Float64Array {
  return Float64Array.from(volume.data as ArrayLike<number>, (value) => value * volume.slope + volume.intercept)
}

/** Millimetres along the columns of an affine. */
export function spacingOf(affine: Affine): Extents {
  return [0, 1, 2].map((axis) => Math.hypot(affine[axis]!, affine[4 + axis]!, affine[8 + axis]!)) as unknown as Extents
}

/** The largest distance in millimetres between corresponding outer corners of two grids. */
export function cornersApart(a: Affine, aShape: Extents, b: Affine, bShape: Extents): number {
  let most = 0
  for (let corner = 0; corner < 8; corner++) {
    const at = (affine: Affine, shape: Extents) =>
      [0, 1, 2].map((row) =>
        shape.reduce(
          (sum, extent, axis) => sum + affine[row * 4 + axis]! * ((corner >> axis) & 1 ? extent - 0.5 : -0.5),
          affine[row * 4 + 3]!,
        ),
      )
    const [p, q] = [at(a, aShape), at(b, bShape)]
    most = Math.max(most, Math.hypot(...p.map((value, axis) => value - q[axis]!)))
  }
  return most
}

/** The strides of x-fastest order. */
export const fileOrder = (shape: Extents): Extents => [1, shape[0], shape[0] * shape[1]]

/** @throws SemgenError BAD_FILE, naming the file, unless extents are whole, above 0 and of at most 2^40 voxels in all */
export function checkExtents(path: string, extents: readonly number[]): void {
  const voxels = extents.reduce((product, extent) => product * extent, 1)
  if (extents.every((extent) => Number.isInteger(extent) && extent >= 1) && voxels <= 2 ** 40) return
  throw new SemgenError('BAD_FILE', `${path} has a header that claims ${extents.join(' x ')} voxels, which cannot be.`)
}

/** @throws SemgenError BAD_FILE, naming the file, unless an affine is finite and takes voxels to a volume */
export function checkAffine(path: string, affine: Affine): void {
  const column = (axis: number) => [affine[axis]!, affine[4 + axis]!, affine[8 + axis]!] as const
  const volume = determinant(column(0), column(1), column(2))
  if (affine.every(Number.isFinite) && Number.isFinite(volume) && volume !== 0) return
  throw new SemgenError(
    'BAD_FILE',
    `${path} has a header that places its voxels nowhere: its affine is ${affine.join(' ')}.`,
  )
}

/** The voxel index, perhaps between voxels, of a point in RAS millimetres: Cramer's rule on the affine. */
export function voxelAt(affine: Affine, point: Extents): Extents {
  const column = (axis: number) => [affine[axis]!, affine[4 + axis]!, affine[8 + axis]!] as const
  const [a, b, c] = [column(0), column(1), column(2)]
  const d = [0, 1, 2].map((row) => point[row]! - affine[row * 4 + 3]!) as unknown as Extents
  const whole = determinant(a, b, c)
  return [determinant(d, b, c) / whole, determinant(a, d, c) / whole, determinant(a, b, d) / whole]
}

const determinant = (a: Extents, b: Extents, c: Extents): number =>
  a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1]) + c[0] * (a[1] * b[2] - a[2] * b[1])
