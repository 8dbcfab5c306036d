import { type Extents, voxelCount } from '../extents.js'
import { Random } from '../random.js'
import type { PatchRequest, Place } from './patches.js'
import type { PreparedCase } from './prepared-cases.js'

export const augmentations = ['flips', 'rotations', 'scaling', 'intensity'] as const
export type Augmentation = (typeof augmentations)[number]

/** How often each augmentation happens to a patch, and how far it goes: after nnU-Net's (Isensee et al. 2021), milder. */
const drawn = {
  /** For each axis. */
  flips: { chance: 0.5 },
  /** Radians about each axis. */
  rotations: { chance: 0.3, most: Math.PI / 12 },
  scaling: { chance: 0.3, most: 1.2 },
  intensity: { chance: 0.5, gain: 0.25, offset: 0.1 },
}

export interface PatchDraws {
  readonly patch: Extents
  readonly seed: number
  /** Share of patches that are centred on a voxel with a label. */
  readonly foreground: number
  readonly augment: readonly Augmentation[]
  /** Labels that count as foreground. */
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
    this.#draws = draws
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
    const place = this.#place(of, random)
    const shades = augment.includes('intensity') && random.chance(drawn.intensity.chance)
    const { gain, offset } = drawn.intensity
    return {
      channels: of.channels,
      labels: of.labels,
      place,
      gain: shades ? random.uniform(1 - gain, 1 + gain) : 1,
      offset: shades ? random.uniform(-offset, offset) : 0,
    }
  }

  #place(of: PreparedCase, random: Random): Place {
    const { patch, augment } = this.#draws
    const { shape, spacing } = of.channels[0]!
    const centre = this.#centre(of, random)
    const start = patch.map((extent, axis) => {
      const room = shape[axis]! - extent
      return room > 0 ? Math.min(room, Math.max(0, centre[axis]! - Math.floor(extent / 2))) : Math.floor(room / 2)
    })
    const does = (name: 'rotations' | 'scaling') => augment.includes(name) && random.chance(drawn[name].chance)
    const signs = patch.map(() => (augment.includes('flips') && random.chance(drawn.flips.chance) ? -1 : 1))
    const { most } = drawn.rotations
    const angles = does('rotations') ? patch.map(() => random.uniform(-most, most)) : [0, 0, 0]
    const scale = does('scaling') ? drawn.scaling.most ** random.uniform(-1, 1) : 1
    const turn = rotation(angles as [number, number, number])
    // About the patch's middle; turned in millimetres, so that what is round stays round where voxels are not cubes.
    const linear = [0, 1, 2].map((row) =>
      [0, 1, 2].map((column) => (turn[row]![column]! * spacing[column]! * scale * signs[column]!) / spacing[row]!),
    )
    return linear.flatMap((row, axis) => {
      const middle = start[axis]! + (patch[axis]! - 1) / 2
      const shift = row.reduce((sum, value, column) => sum - (value * (patch[column]! - 1)) / 2, middle)
      return [...row, shift]
    })
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

type Matrix = readonly [readonly number[], readonly number[], readonly number[]]

/** Rotations about x, then y, then z. */
function rotation([a, b, c]: readonly [number, number, number]): Matrix {
  const [ca, sa, cb, sb, cc, sc] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), Math.cos(c), Math.sin(c)]
  return [
    [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
    [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
    [-sb, cb * sa, cb * ca],
  ]
}
