import { Random } from '../random.js'
import type { Crop, CropSource } from './crops.js'

/** One training sample: which crop, and the numbers that its perturbation is drawn from. */
export interface Sample {
  readonly crop: Crop
  readonly pass: number
  readonly index: number
}

/**
 * The endless row of a stage's training samples: pass after pass over all crops, each pass in its own order. A batch
 * takes the next samples of the row, across the end of a pass where it falls so; hence no sample is ever left out.
 * The row depends on (seed, stage) alone, so a resumed run only has to know its position.
 */
export class Sampler {
  readonly #source: CropSource
  readonly #seed: number
  readonly #stage: string
  #order: { pass: number; permutation: Uint32Array } | undefined

  constructor(source: CropSource, seed: number, stage: string) {
    this.#source = source
    this.#seed = seed
    this.#stage = stage
  }

  /** Samples in a pass. */
  get size(): number {
    return this.#source.size
  }

  /** The sample at `position` of the row, from 0. */
  at(position: number): Sample {
    const pass = Math.floor(position / this.#source.size)
    if (this.#order?.pass !== pass) {
      const random = new Random(this.#seed, `order/${this.#stage}`, pass)
      this.#order = { pass, permutation: random.permutation(this.#source.size) }
    }
    const index = this.#order.permutation[position % this.#source.size]!
    return { crop: this.#source.crop(pass, index), pass, index }
  }

  /** The samples of batch `step`. */
  batch(step: number, batch: number): Sample[] {
    return Array.from({ length: batch }, (_, i) => this.at(step * batch + i))
  }
}
