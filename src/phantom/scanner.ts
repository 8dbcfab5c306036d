import type { Extents } from '../extents.js'
import { Random } from '../random.js'
import type { Acquisition } from './acquisition.js'
import type { Patient } from './patient.js'
import type { Vector } from './shapes.js'

/** Plane `index` along x, (y, z) with z fastest. What it returns may be overwritten by the next call. */
type PlaneSource = (index: number) => Float32Array

/** Beyond the borders: the nearest voxel again, or the other side (noise then is as strong at the border as elsewhere). */
type Border = 'repeat' | 'wrap'

/** Weights of a Gaussian, symmetric, from the middle outwards; their sum over both sides is 1. */
export function gaussianWeights(deviation: number): Float64Array {
  const radius = deviation < 0.05 ? 0 : Math.max(1, Math.round(3 * deviation))
  const weights = Float64Array.from({ length: radius + 1 }, (_, t) =>
    Math.exp(-0.5 * (t / Math.max(deviation, 1e-9)) ** 2),
  )
  const sum = weights.reduce((total, weight, t) => total + (t === 0 ? 1 : 2) * weight, 0)
  return weights.map((weight) => weight / sum)
}

/** A separable Gaussian over planes that come one at a time: only as many are kept as it reaches. */
export class GaussianFilter {
  readonly #source: PlaneSource
  readonly #shape: Extents
  readonly #border: Border
  readonly #weights: readonly [Float64Array, Float64Array, Float64Array]
  /** Filtered along y and z, by plane. */
  readonly #kept = new Map<number, Float32Array>()
  readonly #spare: Float32Array[] = []
  readonly #between: Float32Array
  readonly #line: Float32Array
  readonly #result: Float32Array

  /** @param deviations along x, y and z in voxels */
  constructor(source: PlaneSource, shape: Extents, deviations: Vector, border: Border) {
    this.#source = source
    this.#shape = shape
    this.#border = border
    this.#weights = [gaussianWeights(deviations[0]), gaussianWeights(deviations[1]), gaussianWeights(deviations[2])]
    this.#between = new Float32Array(shape[1] * shape[2])
    this.#result = new Float32Array(shape[1] * shape[2])
    this.#line = new Float32Array(shape[2] + 2 * this.#weights[2].length)
  }

  /** Filtered plane `index`. Planes are asked for in ascending order. */
  readonly plane: PlaneSource = (index) => {
    const weights = this.#weights[0]
    const radius = weights.length - 1
    const result = this.#result
    for (let t = -radius; t <= 0; t++) {
      const weight = weights[-t]!
      const before = this.#inPlane(index + t)
      if (t === -radius) for (let n = 0; n < result.length; n++) result[n] = weight * before[n]!
      else for (let n = 0; n < result.length; n++) result[n]! += weight * before[n]!
    }
    for (let t = 1; t <= radius; t++) {
      const weight = weights[t]!
      const after = this.#inPlane(index + t)
      for (let n = 0; n < result.length; n++) result[n]! += weight * after[n]!
    }
    for (const [at, plane] of this.#kept)
      if (at < index - radius) {
        this.#kept.delete(at)
        this.#spare.push(plane)
      }
    return result
  }

  #inPlane(index: number): Float32Array {
    const kept = this.#kept.get(index)
    if (kept) return kept
    const count = this.#shape[0]
    const beyond = index < 0 || index >= count
    const nearest = beyond && this.#border === 'repeat' ? this.#kept.get(index < 0 ? 0 : count - 1) : undefined
    const plane = this.#spare.pop() ?? new Float32Array(this.#result.length)
    if (nearest) plane.set(nearest)
    else this.#alongZ(this.#alongY(this.#source(this.#inside(index, count))), plane)
    this.#kept.set(index, plane)
    return plane
  }

  #inside(index: number, count: number): number {
    if (this.#border === 'repeat') return Math.max(0, Math.min(count - 1, index))
    return ((index % count) + count) % count
  }

  #alongY(plane: Float32Array): Float32Array {
    const [, Y, Z] = this.#shape
    const weights = this.#weights[1]
    const radius = weights.length - 1
    const result = this.#between.fill(0)
    for (let j = 0; j < Y; j++)
      for (let t = -radius; t <= radius; t++) {
        const from = this.#inside(j + t, Y) * Z
        const weight = weights[Math.abs(t)]!
        for (let k = 0, to = j * Z; k < Z; k++, to++) result[to]! += weight * plane[from + k]!
      }
    return result
  }

  #alongZ(plane: Float32Array, result: Float32Array): void {
    const [, Y, Z] = this.#shape
    const weights = this.#weights[2]
    const radius = weights.length - 1
    const line = this.#line
    for (let j = 0; j < Y; j++) {
      const row = j * Z
      for (let k = -radius; k < Z + radius; k++) line[k + radius] = plane[row + this.#inside(k, Z)]!
      for (let k = 0; k < Z; k++) {
        let sum = weights[0]! * line[k + radius]!
        for (let t = 1; t <= radius; t++) sum += weights[t]! * (line[k + radius - t]! + line[k + radius + t]!)
        result[row + k] = sum
      }
    }
  }
}

/** How much of the slow part of its noise a scanner's reconstruction removes: its ramp filter passes none of it. */
const slowPart = 0.6
const slowness = 2.2

/**
 * Noise with a scanner's grain: white noise, smoothed, less a part of itself smoothed more. Its power falls off to both
 * ends of the spectrum, as after filtered back-projection (Riederer, Pelc and Chesler, "The noise power spectrum in
 * computed X-ray tomography", Phys Med Biol 23, 1978).
 */
export class ScannerNoise {
  readonly #fine: GaussianFilter
  readonly #slow: GaussianFilter
  readonly #result: Float32Array
  readonly #scale: number

  /** @param grain standard deviation of the smoothing along x, y and z, in voxels */
  constructor(patient: Pick<Patient, 'seed' | 'index'>, shape: Extents, grain: Vector) {
    // The slower filter reaches further, so it asks for a plane first; the finer one takes it over.
    const drawn = new Map<number, Float32Array>()
    const draw: PlaneSource = (index) => {
      const known = drawn.get(index)
      if (known) return known
      const white = new Float32Array(shape[1] * shape[2])
      const random = new Random(patient.seed, 'phantom noise', patient.index, index)
      // Four bytes summed are near enough to normal, once smoothed.
      for (let n = 0; n < white.length; n++) {
        const word = random.uint32()
        white[n] = (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24) - 510
      }
      drawn.set(index, white)
      return white
    }
    const take: PlaneSource = (index) => {
      const white = draw(index)
      drawn.delete(index)
      return white
    }
    const slow = grain.map((deviation) => Math.max(0.5, deviation) * slowness) as unknown as Vector
    this.#fine = new GaussianFilter(take, shape, grain, 'wrap')
    this.#slow = new GaussianFilter(draw, shape, slow, 'wrap')
    this.#result = new Float32Array(shape[1] * shape[2])
    this.#scale = 1 / Math.sqrt(((4 * (256 ** 2 - 1)) / 12) * filterPower(grain, slow))
  }

  /** Plane `index` of noise of standard deviation 1. */
  plane(index: number): Float32Array {
    const slow = this.#slow.plane(index)
    const fine = this.#fine.plane(index)
    const result = this.#result
    for (let n = 0; n < result.length; n++) result[n] = (fine[n]! - slowPart * slow[n]!) * this.#scale
    return result
  }
}

/** What the filter leaves of white noise's variance: the sum of its squared weights. */
function filterPower(fine: Vector, slow: Vector): number {
  let [ff, fs, ss] = [1, 1, 1]
  for (let axis = 0; axis < 3; axis++) {
    const [f, s] = [gaussianWeights(fine[axis]!), gaussianWeights(slow[axis]!)]
    ff *= product(f, f)
    fs *= product(f, s)
    ss *= product(s, s)
  }
  return ff - 2 * slowPart * fs + slowPart * slowPart * ss
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let t = 0; t < Math.min(a.length, b.length); t++) sum += (t === 0 ? 1 : 2) * a[t]! * b[t]!
  return sum
}

/** What a CT file can hold. */
const lowest = -1024
const highest = 3071

/**
 * What the scanner makes of a painted body: blurred by its point spread, noisy where rays are weakened, whole HU.
 * @param paint gives plane `index` of HU, and of depth in the body (0 at the skin and outside, 1 at the axis)
 */
export class Scanner {
  readonly #blurred: GaussianFilter
  readonly #depths = new Map<number, Float32Array>()
  readonly #noise: ScannerNoise
  readonly #sigma: number

  constructor(
    patient: Pick<Patient, 'seed' | 'index'>,
    { shape, spacing, blur, grain, noise }: Acquisition,
    paint: (index: number) => { hu: Float32Array; depth: Float32Array },
  ) {
    const inVoxels = (millimetres: Vector): Vector => [
      millimetres[0] / spacing[0],
      millimetres[1] / spacing[1],
      millimetres[2] / spacing[2],
    ]
    const source: PlaneSource = (index) => {
      const { hu, depth } = paint(index)
      this.#depths.set(index, depth.slice())
      return hu
    }
    this.#blurred = new GaussianFilter(source, shape, inVoxels(blur), 'repeat')
    this.#noise = new ScannerNoise(patient, shape, inVoxels(grain))
    this.#sigma = noise
  }

  /** Measures plane `index` into `result` (y, z). Planes are asked for in ascending order. */
  measure(index: number, result: Int16Array): void {
    const hu = this.#blurred.plane(index)
    const noise = this.#noise.plane(index)
    const depth = this.#depths.get(index)!
    for (let n = 0; n < result.length; n++) {
      // Rays through the middle are weakened most, those outside the body least.
      const sigma = this.#sigma * (depth[n]! > 0 ? 0.62 + 0.38 * depth[n]! : 0.45)
      result[n] = Math.max(lowest, Math.min(highest, Math.round(hu[n]! + sigma * noise[n]!)))
    }
    this.#depths.delete(index)
  }
}
