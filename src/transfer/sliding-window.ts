import type { Extents } from '../extents.js'
import { voxelCount } from '../extents.js'
import type { Scan } from '../perturb/index.js'
import { type Mirror, mirrorings, type Signs } from './mirroring.js'
import { fillPatches, type Place, placeAt } from './patches.js'

export interface WindowOptions {
  /** Voxels of a window: the network's patch. */
  readonly patch: Extents
  /** Windows a run of the network. */
  readonly batch: number
  /** Share of a window that the next one covers again, from 0 below 1. */
  readonly overlap: number
  readonly mirror: Mirror
  /** Sigmoids of the network. */
  readonly outputs: number
  readonly threads: number
  readonly signal?: AbortSignal | undefined
  /** Called for windows that are done. */
  readonly advance?: ((windows: number) => void) | undefined
}

/** A network that predicts a batch of windows: PredictionStep is one. */
export interface Predictor {
  /** Takes [batch, patch, channels]. */
  readonly input: { write(values: Float32Array): void }
  /** Fills [batch, patch, outputs] with logits. */
  run(into: Float32Array): Promise<Float32Array>
}

/** Takes the probabilities of plane x, [Y, Z, outputs]; they are overwritten afterwards. */
export type PlaneTaker = (x: number, probabilities: Float32Array) => void

/**
 * Predicts a scan window by window, each voxel the mean of all windows over it, weighted by a Gaussian about the window's
 * middle (Isensee et al. 2021), and of all networks. Planes are handed over as soon as no window to come
 * reaches them: the memory is that of the planes under one row of windows, whatever the scan's length.
 * @throws what the signal was aborted with
 */
export async function slideWindows(
  channels: readonly Scan[],
  networks: readonly Predictor[],
  options: WindowOptions,
  take: PlaneTaker,
): Promise<void> {
  const { patch, batch, outputs, threads, signal, advance } = options
  const { shape } = channels[0]!
  const places = windowPlaces(shape, options)
  const planes = new Planes(shape, patch, outputs)
  const voxels = voxelCount(patch)
  const input = new Float32Array(batch * voxels * channels.length)
  const logits = new Float32Array(batch * voxels * outputs)
  const mean = new Float32Array(batch * voxels * outputs)
  const ways = mirrorings[options.mirror]
  for (let first = 0; first < places.length; first += batch) {
    signal?.throwIfAborted()
    const used = Math.min(batch, places.length - first)
    // The last run's spare windows repeat its last one, and are not read.
    const starts = Array.from({ length: batch }, (_, i) => places[Math.min(first + i, places.length - 1)]!)
    mean.fill(0)
    for (const signs of ways) {
      const requests = starts.map((start) => ({ channels, place: mirrored(start, patch, signs), gain: 1, offset: 0 }))
      await fillPatches(requests, patch, { codes: noCodes, outputs: 0 }, input, undefined, threads)
      for (const network of networks) {
        network.input.write(input)
        await network.run(logits)
        addSigmoids(logits, mean, { patch, signs, windows: used, outputs, share: 1 / (ways.length * networks.length) })
      }
    }
    for (let i = 0; i < used; i++) {
      planes.release(starts[i]![0], take)
      planes.add(mean.subarray(i * voxels * outputs, (i + 1) * voxels * outputs), starts[i]!)
    }
    advance?.(used)
  }
  planes.release(shape[0], take)
}

/** How many windows a scan takes. */
export function windowCount(shape: Extents, options: Pick<WindowOptions, 'patch' | 'overlap'>): number {
  return windowPlaces(shape, options).length
}

const noCodes: readonly number[] = new Array<number>(256).fill(0)

/** First voxels of all windows, by x, then y, then z. A scan smaller than a window has it around it. */
function windowPlaces(shape: Extents, { patch, overlap }: Pick<WindowOptions, 'patch' | 'overlap'>): Extents[] {
  const [xs, ys, zs] = shape.map((extent, axis) => {
    const room = extent - patch[axis]!
    if (room <= 0) return [Math.floor(room / 2)]
    const steps = Math.ceil(room / Math.max(1, patch[axis]! * (1 - overlap)))
    return Array.from({ length: steps + 1 }, (_, i) => Math.round((i * room) / steps))
  }) as [number[], number[], number[]]
  return xs.flatMap((x) => ys.flatMap((y) => zs.map((z): Extents => [x, y, z])))
}

function mirrored(start: Extents, patch: Extents, signs: Signs): Place {
  const place = [...placeAt(start)]
  signs.forEach((sign, axis) => {
    if (sign > 0) return
    place[axis * 5] = -1
    place[axis * 4 + 3]! += patch[axis]! - 1
  })
  return place
}

/** Adds `share` of the sigmoids of windows [windows, patch, outputs], turned back from how they were mirrored. */
function addSigmoids(
  logits: Float32Array,
  sums: Float32Array,
  of: { patch: Extents; signs: Signs; windows: number; outputs: number; share: number },
): void {
  const { patch, signs, windows, outputs, share } = of
  const [nx, ny, nz] = patch
  let to = 0
  for (let window = 0; window < windows; window++)
    for (let x = 0; x < nx; x++)
      for (let y = 0; y < ny; y++) {
        const row = ((window * nx + (signs[0] > 0 ? x : nx - 1 - x)) * ny + (signs[1] > 0 ? y : ny - 1 - y)) * nz
        for (let z = 0; z < nz; z++) {
          const from = (row + (signs[2] > 0 ? z : nz - 1 - z)) * outputs
          for (let o = 0; o < outputs; o++) sums[to++]! += share / (1 + Math.exp(-logits[from + o]!))
        }
      }
}

/** exp(-d^2 / 2 sigma^2) with a sigma of an eighth of the window along each axis, at least 1e-3 of its top. */
function gaussian(patch: Extents): Float32Array {
  const [xs, ys, zs] = patch.map((extent) =>
    Float64Array.from({ length: extent }, (_, i) => Math.exp(-0.5 * ((i - (extent - 1) / 2) / (extent / 8)) ** 2)),
  ) as [Float64Array, Float64Array, Float64Array]
  const weights = new Float32Array(voxelCount(patch))
  let i = 0
  for (const x of xs) for (const y of ys) for (const z of zs) weights[i++] = Math.max(1e-3, x * y * z)
  return weights
}

/** Weighted sums of the planes that windows still reach: a ring along x. */
class Planes {
  readonly #shape: Extents
  readonly #patch: Extents
  readonly #outputs: number
  readonly #importance: Float32Array
  readonly #ring: number
  /** A plane's sums [Y, Z, outputs], and its weights [Y, Z], by x modulo the ring. */
  readonly #sums: Float32Array
  readonly #weights: Float32Array
  #released = 0

  constructor(shape: Extents, patch: Extents, outputs: number) {
    this.#shape = shape
    this.#patch = patch
    this.#outputs = outputs
    this.#importance = gaussian(patch)
    this.#ring = Math.min(shape[0], patch[0])
    this.#sums = new Float32Array(this.#ring * shape[1] * shape[2] * outputs)
    this.#weights = new Float32Array(this.#ring * shape[1] * shape[2])
  }

  /** Adds the probabilities [patch, outputs] of the window that begins at `start`. Planes before it are released. */
  add(probabilities: Float32Array, start: Extents): void {
    const [, ny, nz] = this.#shape
    const [, py, pz] = this.#patch
    const outputs = this.#outputs
    const from = start.map((first) => Math.max(0, -first))
    const to = start.map((first, axis) => Math.min(this.#patch[axis]!, this.#shape[axis]! - first))
    for (let x = from[0]!; x < to[0]!; x++)
      for (let y = from[1]!; y < to[1]!; y++) {
        const row = (((start[0] + x) % this.#ring) * ny + start[1] + y) * nz + start[2]
        const window = (x * py + y) * pz
        for (let z = from[2]!; z < to[2]!; z++) {
          const weight = this.#importance[window + z]!
          this.#weights[row + z]! += weight
          for (let o = 0; o < outputs; o++)
            this.#sums[(row + z) * outputs + o]! += weight * probabilities[(window + z) * outputs + o]!
        }
      }
  }

  /** Hands over the planes below `end`, and clears them for those to come. */
  release(end: number, take: PlaneTaker): void {
    const size = this.#shape[1] * this.#shape[2]
    for (; this.#released < end; this.#released++) {
      const at = (this.#released % this.#ring) * size
      const sums = this.#sums.subarray(at * this.#outputs, (at + size) * this.#outputs)
      const weights = this.#weights.subarray(at, at + size)
      for (let i = 0; i < size; i++) for (let o = 0; o < this.#outputs; o++) sums[i * this.#outputs + o]! /= weights[i]!
      take(this.#released, sums)
      sums.fill(0)
      weights.fill(0)
    }
  }
}
