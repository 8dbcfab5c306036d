import { type Extents, voxelCount } from '../extents.js'
import { Random } from '../random.js'
import { type Augmentations, drawPlace, drawShades } from './augmentation.js'
import type { PatchRequest } from './patches.js'
import type { PreparedCase } from './prepared-cases.js'

export interface PatchDraws {
  readonly patch: Extents
  readonly seed: number
  /** Share of patches that are centred on a voxel with a label. */
  readonly foreground: number
  readonly augment: Augmentations
  /** Labels that count as foreground; those of several outputs, which may overlap, once. */
  readonly labels: readonly number[]
}

/**
 * The endless row of training patches: pass after pass over all cases, each pass in its own order. Where a patch lies and
 * what happens to it follows from (seed, place in the row) alone, so a resumed run only has to know its step.
 */
export class PatchSampler {
  readonly #cases: readonly PreparedCase[]
  readonly #draws: PatchDraws
  #order: { pass: number; permutation: Uint32Array } | undefined

  constructor(cases: readonly PreparedCase[], draws: PatchDraws) {
    this.#cases = cases
    this.#draws = { ...draws, labels: [...new Set(draws.labels)] }
  }

  /** The patches of batch `step`. */
  batch(step: number, batch: number): PatchRequest[] {
    return Array.from({ length: batch }, (_, i) => this.#at(step * batch + i))
  }

  #at(position: number): PatchRequest {
    const { seed, augment } = this.#draws
    const pass = Math.floor(position / this.#cases.length)
    if (this.#order?.pass !== pass) {
      const permutation = new Random(seed, 'order/patches', pass).permutation(this.#cases.length)
      this.#order = { pass, permutation }
    }
    const index = this.#order.permutation[position % this.#cases.length]!
    const of = this.#cases[index]!
    const random = new Random(seed, 'patch', pass, index)
    const { patch } = this.#draws
    const { shape, spacing } = of.channels[0]!
    const centre = this.#centre(of, random)
    const middle = patch.map((extent, axis) => {
      const room = shape[axis]! - extent
      const start =
        room > 0 ? Math.min(room, Math.max(0, centre[axis]! - Math.floor(extent / 2))) : Math.floor(room / 2)
      return start + (extent - 1) / 2
    }) as unknown as Extents
    const place = drawPlace(augment, patch, middle, spacing, random)
    return { channels: of.channels, labels: of.labels, place, ...drawShades(augment, random) }
  }

  /** A voxel of the case: of a label, each as likely, or any. */
  #centre(of: PreparedCase, random: Random): Extents {
    const { foreground, labels } = this.#draws
    const [, ny, nz] = of.channels[0]!.shape
    const present = labels.filter((label) => of.places.has(label))
    let index = random.integer(0, voxelCount(of.channels[0]!.shape))
    if (random.chance(foreground) && present.length > 0) {
      const places = of.places.get(random.pick(present))!
      index = places[random.integer(0, places.length)]!
    }
    return [Math.floor(index / (ny * nz)), Math.floor(index / nz) % ny, index % nz]
  }
}
