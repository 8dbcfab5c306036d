import { type Content, correlation, parts, type SeenScan } from './content.js'
import { alongAxes, axes, type Box, fits } from './frame.js'

/** A box is looked at on a grid of so many points along each axis, 2 in each of its parts, and moved by their distance. */
const points = 2 * parts
/** Farthest move along an axis: a quarter of the box. */
const reach = points / 4
/** A box is moved only where it so resembles its reference more by at least this: noise alone moves none. */
const worth = 0.05

/** All moves in grid points, the shortest first. */
const moves = allMoves()

/**
 * A box of a scan, moved by up to a quarter of its size along each axis, within the scan, to where it resembles `content`
 * most: bodies differ more than boxes of the same part of them do. The nearest of equal places is taken.
 */
export function aligned(scan: SeenScan, box: Box, content: Content): Box {
  const grid = sampled(scan, box)
  let best = { box, score: Number.NEGATIVE_INFINITY }
  for (const move of moves) {
    const start = alongAxes((axis) => box.start[axis] + Math.round((move[axis] / points) * box.size[axis]))
    const moved = { start, size: box.size }
    const still = axes.every((axis) => move[axis] === 0)
    if (!still && !fits(moved, scan.shape)) continue
    const score = correlation(partMeans(grid, move), content.shape) - (still ? 0 : worth)
    if (score > best.score) best = { box: moved, score }
  }
  return best.box
}

const width = points + 2 * reach

/** The scan's values on the grid of a box and as far around it as it may be moved; beyond the scan, edge voxels repeat. */
function sampled(scan: SeenScan, { start, size }: Box): Float64Array {
  const [xs, ys, zs] = alongAxes((axis) =>
    Array.from({ length: width }, (_, i) => {
      const at = start[axis] + Math.floor(((i - reach + 0.5) / points) * size[axis])
      return Math.min(Math.max(at, 0), scan.shape[axis] - 1)
    }),
  )
  const values = new Float64Array(width ** 3)
  let i = 0
  for (const x of xs)
    for (const y of ys) {
      const row = (x * scan.shape[1] + y) * scan.shape[2]
      for (const z of zs) values[i++] = scan.voxels[row + z]!
    }
  return values
}

/** The means of the parts of a box that was moved, their average taken off. */
function partMeans(grid: Float64Array, move: readonly [number, number, number]): Float64Array {
  const [x0, y0, z0] = alongAxes((axis) => reach + move[axis])
  const means = new Float64Array(parts ** 3)
  const row = width
  const slab = width * width
  let sum = 0
  for (let x = 0, i = 0; x < parts; x++)
    for (let y = 0; y < parts; y++)
      for (let z = 0; z < parts; z++, i++) {
        const at = (x0 + 2 * x) * slab + (y0 + 2 * y) * row + z0 + 2 * z
        let mean = 0
        for (const corner of [at, at + row, at + slab, at + slab + row]) mean += grid[corner]! + grid[corner + 1]!
        means[i] = mean
        sum += mean
      }
  return means.map((mean) => mean - sum / means.length)
}

function allMoves(): [number, number, number][] {
  const steps = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach)
  const all = steps.flatMap((x) => steps.flatMap((y) => steps.map((z): [number, number, number] => [x, y, z])))
  const length = (move: readonly number[]) => Math.hypot(...move)
  return all.sort((a, b) => length(a) - length(b))
}
