import { type Extents, voxelCount } from '../extents.js'

/**
 * The squared Euclidean distance in mm² of every voxel's centre to the nearest source's centre: exact, but for the rounding
 * to float32 after each axis (a relative 2e-7 in all). Infinite everywhere where there is no source.
 *
 * The squared distance is a sum over axes, so one axis after another is enough: along z it is found by looking both ways,
 * along y and x it is the lower envelope of a line's parabolas (Felzenszwalb and Huttenlocher, "Distance transforms of
 * sampled functions", Theory of Computing 2012). The time is proportional to the voxels, wherever the sources lie.
 *
 * @param sources one byte a voxel, z fastest; not 0 is a source
 * @param spacing millimetres
 */
export function squaredDistances(sources: Uint8Array, shape: Extents, spacing: Extents): Float32Array {
  const [nx, ny, nz] = shape
  const squared = new Float32Array(voxelCount(shape))
  for (let line = 0; line < nx * ny; line++) alongZ(sources, squared, line * nz, nz, spacing[2])
  const envelope = new Envelope(Math.max(nx, ny))
  for (let x = 0; x < nx; x++)
    for (let z = 0; z < nz; z++) envelope.replace(squared, x * ny * nz + z, nz, ny, spacing[1])
  for (let yz = 0; yz < ny * nz; yz++) envelope.replace(squared, yz, ny * nz, nx, spacing[0])
  return squared
}

function alongZ(sources: Uint8Array, squared: Float32Array, start: number, count: number, step: number): void {
  let last = Number.NEGATIVE_INFINITY
  for (let z = 0; z < count; z++) {
    if (sources[start + z]) last = z
    const away = (z - last) * step
    squared[start + z] = away * away
  }
  let next = Number.POSITIVE_INFINITY
  for (let z = count - 1; z >= 0; z--) {
    if (sources[start + z]) next = z
    const away = (next - z) * step
    if (away * away < squared[start + z]!) squared[start + z] = away * away
  }
}

/** The parabolas of one line, of which only those that are lowest somewhere are kept. */
class Envelope {
  /** Each kept parabola's height and place, and where it begins to be the lowest. */
  readonly #heights: Float64Array
  readonly #places: Int32Array
  readonly #begins: Float64Array

  constructor(longest: number) {
    this.#heights = new Float64Array(longest)
    this.#places = new Int32Array(longest)
    this.#begins = new Float64Array(longest + 1)
  }

  /** Replaces the values f(q) of a line by the least f(p) + ((q - p) step)² over all p. */
  replace(values: Float32Array, start: number, stride: number, count: number, step: number): void {
    const heights = this.#heights
    const places = this.#places
    const begins = this.#begins
    const weight = step * step
    let kept = 0
    for (let q = 0, at = start; q < count; q++, at += stride) {
      const height = values[at]!
      if (height === Number.POSITIVE_INFINITY) continue
      let begin = Number.NEGATIVE_INFINITY
      while (kept > 0) {
        const p = places[kept - 1]!
        begin = ((height - heights[kept - 1]!) / (weight * (q - p)) + q + p) / 2
        if (begin > begins[kept - 1]!) break
        kept--
        begin = Number.NEGATIVE_INFINITY
      }
      heights[kept] = height
      places[kept] = q
      begins[kept++] = begin
    }
    if (kept === 0) return
    begins[kept] = Number.POSITIVE_INFINITY
    for (let q = 0, at = start, i = 0; q < count; q++, at += stride) {
      while (begins[i + 1]! < q) i++
      const away = (q - places[i]!) * step
      values[at] = heights[i]! + away * away
    }
  }
}
