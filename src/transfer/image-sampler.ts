import type { Extents } from '../extents.js'
import { Random } from '../random.js'
import { type Augmentations, drawPlace, drawShades, drawShift, mirroredAbout } from './augmentation.js'
import type { ReadyImage } from './labelled-images.js'
import type { PatchRequest } from './patches.js'

export interface ImageDraws {
  readonly patch: Extents
  readonly seed: number
  readonly augment: Augmentations
  /** Whether each class comes as often as any other, however many images it has. */
  readonly balanced: boolean
}

/** An image of a batch, and how it is to be cut. */
export interface DrawnImage {
  readonly image: ReadyImage
  readonly request: PatchRequest
}

/** The patch about an image's middle as it lies, or mirrored. */
export const plainRequest = (image: ReadyImage, patch: Extents, signs?: readonly number[]): PatchRequest => ({
  channels: image.channels,
  place: mirroredAbout(patch, image.middle, signs),
  gain: 1,
  offset: 0,
})

/**
 * The images that count as one group when classes are balanced: those of each class, and those of none. One of which
 * several classes are true is in several.
 */
export function balancedGroups<T extends { readonly truth?: readonly number[] | undefined }>(
  images: readonly T[],
): T[][] {
  const groups = new Map<number, T[]>()
  for (const image of images)
    for (const c of image.truth!.length > 0 ? image.truth! : [-1]) groups.set(c, [...(groups.get(c) ?? []), image])
  return [...groups].sort(([a], [b]) => a - b).map(([, group]) => group)
}

/**
 * The endless row of training images: round after round over the groups, pass after pass over the images of each, each
 * pass in its own order. One group of all images makes every image as frequent, a group a class every class. Which image
 * comes and what happens to it follows from (seed, place in the row) alone, so a resumed run only has to know its step.
 */
export class ImageSampler {
  readonly #groups: readonly (readonly ReadyImage[])[]
  readonly #draws: ImageDraws
  readonly #orders = new Map<number, { pass: number; permutation: Uint32Array }>()

  constructor(images: readonly ReadyImage[], draws: ImageDraws) {
    this.#groups = draws.balanced ? balancedGroups(images) : [images]
    this.#draws = draws
  }

  /** The images of batch `step`. */
  batch(step: number, batch: number): DrawnImage[] {
    return Array.from({ length: batch }, (_, i) => this.#at(step * batch + i))
  }

  #at(position: number): DrawnImage {
    const { patch, seed, augment } = this.#draws
    const groups = this.#groups.length
    const round = Math.floor(position / groups)
    const group = new Random(seed, 'order/classes', round).permutation(groups)[position % groups]!
    const image = this.#image(group, round)
    const random = new Random(seed, 'image', Math.floor(position / 2 ** 32), position % 2 ** 32)
    const shift = drawShift(augment, patch, random)
    const middle = image.middle.map((voxel, axis) => voxel + shift[axis]!) as unknown as Extents
    const place = drawPlace(augment, patch, middle, image.spacing, random)
    return { image, request: { channels: image.channels, place, ...drawShades(augment, random) } }
  }

  /** The image that a group gives in its `turn`-th turn. */
  #image(group: number, turn: number): ReadyImage {
    const images = this.#groups[group]!
    const pass = Math.floor(turn / images.length)
    let order = this.#orders.get(group)
    if (order?.pass !== pass) {
      order = {
        pass,
        permutation: new Random(this.#draws.seed, 'order/images', pass, group).permutation(images.length),
      }
      this.#orders.set(group, order)
    }
    return images[order.permutation[turn % images.length]!]!
  }
}
