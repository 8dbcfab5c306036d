import { type Extents, voxelCount } from '../extents.js'
import { alongAxes, type Box } from './frame.js'

/** What is needed of a prepared scan to look at its voxels. */
export interface SeenScan {
  readonly shape: Extents
  readonly modality: string
  /** Intensities at value 0 and 65535: Hounsfield units in CT. */
  readonly window: readonly [number, number]
  /** (x, y, z), z fastest. */
  readonly voxels: Uint16Array
}

/** What counts as dense: soft tissue and bone, but not lung. The published threshold, in Hounsfield units. */
const denseUnits = -150

/**
 * The published density score of a box, 0 to 1: from every voxel, the first of three slices upwards, its own among them,
 * that is at least -150 HU scores 1, the second 0.5, the third or none 0; the mean is taken over the box. What lies beyond
 * the scan does not count.
 */
export function densityScore(scan: SeenScan, { start, size }: Box): number {
  const [low, high] = scan.window
  const threshold = ((denseUnits - low) / (high - low)) * 65535
  const from = alongAxes((axis) => Math.max(0, start[axis]))
  const to = alongAxes((axis) => Math.min(scan.shape[axis], start[axis] + size[axis]))
  const [, height, depth] = scan.shape
  let halves = 0
  for (let x = from[0]; x < to[0]; x++)
    for (let y = from[1]; y < to[1]; y++) {
      const row = (x * height + y) * depth
      // From the top down; `dense` is how many slices up the next dense voxel is.
      let dense = to[2] < depth && scan.voxels[row + to[2]]! >= threshold ? 0 : 2
      for (let z = to[2] - 1; z >= from[2]; z--) {
        dense = scan.voxels[row + z]! >= threshold ? 0 : dense + 1
        if (dense < 2) halves += 2 - dense
      }
    }
  return halves / 2 / voxelCount(alongAxes((axis) => Math.max(1, to[axis] - from[axis])))
}

/** What is in a box. */
export interface Content {
  /** Part of it that is not background: in CT above -960 HU, so that lung counts; in MR above 8 % of the range. */
  readonly tissue: number
  /** Standard deviation of the means of its 4 x 4 x 4 parts, in parts of the range: noise hardly counts. */
  readonly structure: number
  /** The means of its 4 x 4 x 4 parts, their average taken off: what it looks like from afar. */
  readonly shape: Float64Array
}

/** Points a box is looked at, along each axis: a multiple of the parts. */
const points = 16
export const parts = 4

/** Looks at a box on a grid of 16 x 16 x 16 points. Outside the scan, edge voxels repeat. */
export function contentOf(scan: SeenScan, { start, size }: Box): Content {
  const background = 65535 * (scan.modality === 'ct' ? 0.02 : 0.08)
  const [xs, ys, zs] = alongAxes((axis) =>
    Array.from({ length: points }, (_, i) => {
      const at = start[axis] + Math.floor(((i + 0.5) / points) * size[axis])
      return Math.min(Math.max(at, 0), scan.shape[axis] - 1)
    }),
  )
  const sums = new Float64Array(parts ** 3)
  let tissue = 0
  const partOf = (i: number) => Math.floor((i * parts) / points)
  for (const [i, x] of xs.entries())
    for (const [j, y] of ys.entries()) {
      const row = (x * scan.shape[1] + y) * scan.shape[2]
      const column = (partOf(i) * parts + partOf(j)) * parts
      for (const [k, z] of zs.entries()) {
        const value = scan.voxels[row + z]!
        if (value > background) tissue++
        sums[column + partOf(k)]! += value
      }
    }
  const means = sums.map((sum) => sum / (points / parts) ** 3 / 65535)
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length
  const shape = means.map((value) => value - mean)
  return { tissue: tissue / points ** 3, structure: Math.sqrt(dot(shape, shape) / shape.length), shape }
}

/** How alike two boxes look from afar, -1 to 1: the correlation of the means of their parts; 0 where one is uniform. */
export function resemblance(a: Content, b: Content): number {
  return correlation(a.shape, b.shape)
}

/** Of values whose averages are taken off; 0 where those of one are all alike. */
export function correlation(a: Float64Array, b: Float64Array): number {
  const lengths = Math.sqrt(dot(a, a) * dot(b, b))
  return lengths > 0 ? dot(a, b) / lengths : 0
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}
