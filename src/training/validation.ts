import type { Extents } from '../extents.js'
import { voxelCount } from '../extents.js'
import { EvaluationStep, type Network } from '../nn/index.js'
import type { CropSource } from './crops.js'
import { type CubeMaker, squaredDistance } from './cubes.js'
import type { StageLosses } from './recipes.js'
import type { Sample } from './sampler.js'

/** Figures on the held-out cubes. What a stage has no loss for is undefined. */
export interface ValidationFigures {
  /** The weighted sum that best weights are chosen by. */
  readonly loss: number
  readonly restoration?: number | undefined
  readonly classification?: number | undefined
  /** Share of cubes named rightly. */
  readonly accuracy?: number | undefined
  /** Mean squared error of the perturbed cubes themselves: what restoring nothing would give. */
  readonly perturbed?: number | undefined
  /** Mean Dice of the outputs over whole cases, of a segmentation. */
  readonly dice?: number | undefined
  /** Of a classification: the mean share of each class that is named rightly, and the area under the ROC curve. */
  readonly balancedAccuracy?: number | undefined
  readonly auc?: number | undefined
}

/**
 * Evaluates a network on the same held-out cubes each time: the crops of `source`, each perturbed by its own fixed draw.
 * All cubes count: a last batch that is not full has a program of its own size.
 */
export class Validation {
  readonly #maker: CubeMaker
  readonly #source: CropSource
  readonly #losses: StageLosses
  readonly #patch: Extents
  readonly #batch: number
  readonly #steps = new Map<number, EvaluationStep>()
  readonly #network: Network
  /** The same in every validation, so measured once. */
  #perturbed: number | undefined

  constructor(network: Network, maker: CubeMaker, source: CropSource, losses: StageLosses, batch: number) {
    this.#network = network
    this.#maker = maker
    this.#source = source
    this.#losses = losses
    this.#patch = network.shape.patch
    this.#batch = Math.min(batch, source.size)
  }

  get cubes(): number {
    return this.#source.size
  }

  /** As StageParts says. */
  async run(signal?: AbortSignal, report?: (share: number) => void): Promise<ValidationFigures> {
    const { restorationWeight, classificationWeight } = this.#losses
    const sums = { loss: 0, restoration: 0, classification: 0, correct: 0, perturbed: 0 }
    for (let first = 0; first < this.#source.size; first += this.#batch) {
      signal?.throwIfAborted()
      const samples = this.#samples(first)
      const step = this.#step(samples.length)
      step.labels.write(await this.#maker.make('validation', samples, step))
      const figures = await step.run()
      sums.loss += figures.loss * samples.length
      sums.restoration += figures.restoration * samples.length
      sums.classification += figures.classification * samples.length
      sums.correct += figures.correct
      if (this.#perturbed === undefined && restorationWeight > 0)
        sums.perturbed += squaredDistance(step.input.read(), step.target.read())
      report?.((first + samples.length) / this.#source.size)
    }
    const { size } = this.#source
    if (restorationWeight > 0) this.#perturbed ??= sums.perturbed / (size * voxelCount(this.#patch))
    return {
      loss: sums.loss / size,
      ...(restorationWeight > 0 ? { restoration: sums.restoration / size, perturbed: this.#perturbed! } : {}),
      ...(classificationWeight > 0
        ? { classification: sums.classification / size, accuracy: sums.correct / size }
        : {}),
    }
  }

  /** Bytes of the compiled program of a full batch. */
  get bytes(): number {
    const { arenaBytes, persistentBytes } = this.#step(this.#batch).plan
    return arenaBytes + persistentBytes
  }

  /** Batches of one run. */
  get batches(): number {
    return Math.ceil(this.#source.size / this.#batch)
  }

  dispose(): void {
    for (const step of this.#steps.values()) step.dispose()
    this.#steps.clear()
  }

  #samples(first: number): Sample[] {
    const count = Math.min(this.#batch, this.#source.size - first)
    return Array.from({ length: count }, (_, i) => ({
      crop: this.#source.crop(0, first + i),
      pass: 0,
      index: first + i,
    }))
  }

  #step(batch: number): EvaluationStep {
    let step = this.#steps.get(batch)
    if (!step) {
      step = new EvaluationStep(this.#network, { batch, ...this.#losses })
      this.#steps.set(batch, step)
    }
    return step
  }
}
