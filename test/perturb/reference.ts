// Plain float64 versions of what engine/host does, written from the definitions, and helpers that the tests share.

import type { Extents } from '../../src/extents.js'
import { fillCubes } from '../../src/perturb/cubes.js'
import type { Perturbation, PerturbationStep, Stream } from '../../src/perturb/draw.js'
import { philox, Random } from '../../src/random.js'

export const count = (shape: Extents) => shape[0] * shape[1] * shape[2]

/** The words of a stream in order, and the integers that native code makes of them. */
export class StreamReader {
  #block = 0
  #left = 0
  readonly #words = new Uint32Array(4)
  constructor(readonly stream: Stream) {}
  word(): number {
    if (this.#left === 0) {
      philox(this.#words, this.#block++, ...this.stream.counter, ...this.stream.key)
      this.#left = 4
    }
    return this.#words[4 - this.#left--]!
  }
  uniform(): number {
    return (this.word() >>> 8) / 2 ** 24
  }
  integer(low: number, high: number): number {
    return low + Math.floor((this.word() * (high - low)) / 2 ** 32)
  }
}

export function someStream(seed: number): Stream {
  const random = new Random(seed, 'test stream')
  return {
    key: [random.uint32(), random.uint32()],
    counter: [random.uint32(), random.uint32(), random.uint32()],
  }
}

/** A scan of smooth structure and some noise. */
export function someScan(shape: Extents, seed = 1): { voxels: Uint16Array; shape: Extents } {
  const random = new Random(seed, 'test scan')
  const voxels = new Uint16Array(count(shape))
  let i = 0
  for (let x = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++) {
        const wave = 0.5 + 0.2 * Math.sin(0.3 * x + seed) + 0.15 * Math.cos(0.23 * y + 0.1 * z)
        voxels[i++] = Math.min(65535, Math.max(0, Math.round(65535 * (wave + random.uniform(-0.1, 0.1)))))
      }
  return { voxels, shape }
}

/** Cubes as native code gives them: of a scan that is one cube, after the given steps. */
export async function applied(
  scan: { voxels: Uint16Array; shape: Extents },
  steps: PerturbationStep[],
  flips: Perturbation['flips'] = [false, false, false],
): Promise<{ original: Float32Array; perturbed: Float32Array }> {
  const original = new Float32Array(count(scan.shape))
  const perturbed = new Float32Array(count(scan.shape))
  const perturbation = { shape: scan.shape, flips, steps }
  await fillCubes([{ scan, start: [0, 0, 0], size: scan.shape, perturbation }], scan.shape, original, perturbed)
  return { original, perturbed }
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = a.length === b.length ? 0 : Number.POSITIVE_INFINITY
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!))
  return largest
}

/** The x and y noise fields of an elastic step, in [-1, 1]. */
export function elasticNoise(stream: Stream, voxels: number): [Float64Array, Float64Array] {
  const reader = new StreamReader(stream)
  const field = () => {
    const values = Float64Array.from({ length: voxels }, () => 2 * reader.uniform() - 1)
    // A field begins at a whole block of four words.
    for (let spare = (4 - (voxels % 4)) % 4; spare > 0; spare--) reader.word()
    return values
  }
  return [field(), field()]
}

/** Gaussian smoothing, zero outside, cut off at floor(4 sigma + 0.5) voxels. */
export function gaussian(field: Float64Array, shape: Extents, sigma: Extents): Float64Array {
  let values = field
  const strides = [shape[1] * shape[2], shape[2], 1]
  for (let axis = 0; axis < 3; axis++) {
    const radius = Math.floor(4 * sigma[axis]! + 0.5)
    if (radius === 0) continue
    const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
      Math.exp(-0.5 * ((i - radius) / sigma[axis]!) ** 2),
    )
    const sum = weights.reduce((total, weight) => total + weight, 0)
    const stride = strides[axis]!
    const result = new Float64Array(values.length)
    for (let i = 0; i < values.length; i++) {
      const position = Math.floor(i / stride) % shape[axis]!
      const from = Math.max(-radius, -position)
      const to = Math.min(radius, shape[axis]! - 1 - position)
      for (let d = from; d <= to; d++) result[i]! += (weights[d + radius]! / sum) * values[i + d * stride]!
    }
    values = result
  }
  return values
}

/** ... 1 0 | 0 1 2 | 2 1 ... */
function mirrored(index: number, length: number): number {
  const period = ((index % (2 * length)) + 2 * length) % (2 * length)
  return period < length ? period : 2 * length - 1 - period
}

/** Linear interpolation at (x + alphaX dx, y + alphaY dy, z), mirrored at the border. */
export function displaced(
  image: ArrayLike<number>,
  shape: Extents,
  dx: Float64Array,
  dy: Float64Array,
  alpha: readonly [number, number],
): Float64Array {
  const [X, Y, Z] = shape
  const result = new Float64Array(count(shape))
  const at = (x: number, y: number, z: number) => image[(mirrored(x, X) * Y + mirrored(y, Y)) * Z + z]!
  for (let x = 0, i = 0; x < X; x++)
    for (let y = 0; y < Y; y++)
      for (let z = 0; z < Z; z++, i++) {
        const atX = x + alpha[0] * dx[i]!
        const atY = y + alpha[1] * dy[i]!
        const [x0, y0] = [Math.floor(atX), Math.floor(atY)]
        const [fx, fy] = [atX - x0, atY - y0]
        result[i] =
          (1 - fx) * ((1 - fy) * at(x0, y0, z) + fy * at(x0, y0 + 1, z)) +
          fx * ((1 - fy) * at(x0 + 1, y0, z) + fy * at(x0 + 1, y0 + 1, z))
      }
  return result
}

/** A cubic Bezier coordinate. */
export function bezier(p: readonly [number, number, number, number], t: number): number {
  const s = 1 - t
  return s * s * s * p[0] + 3 * s * s * t * p[1] + 3 * s * t * t * p[2] + t * t * t * p[3]
}

/** A box of a scan, border voxels repeated, brought to a shape: triangle weights, one axis at a time. */
export function resampled(
  scan: { voxels: Uint16Array; shape: Extents },
  start: Extents,
  size: Extents,
  shape: Extents,
): Float64Array {
  const within = (index: number, length: number) => Math.min(length - 1, Math.max(0, index))
  const [X, Y, Z] = scan.shape
  const weights = [0, 1, 2].map((axis) => {
    const scale = size[axis]! / shape[axis]!
    const width = Math.max(1, scale)
    return Array.from({ length: shape[axis]! }, (_, i) => {
      const centre = (i + 0.5) * scale - 0.5
      const row = Array.from({ length: size[axis]! }, (_, j) => Math.max(0, 1 - Math.abs(j - centre) / width))
      const sum = row.reduce((total, weight) => total + weight, 0)
      return row.flatMap((weight, j) => (weight > 0 ? [[j, weight / sum] as const] : []))
    })
  })
  const result = new Float64Array(count(shape))
  let i = 0
  for (let x = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++)
        for (const [jx, wx] of weights[0]![x]!)
          for (const [jy, wy] of weights[1]![y]!)
            for (const [jz, wz] of weights[2]![z]!) {
              const line = within(start[0] + jx, X) * Y + within(start[1] + jy, Y)
              result[i]! += (wx * wy * wz * scan.voxels[line * Z + within(start[2] + jz, Z)]!) / 65535
            }
  return result
}
