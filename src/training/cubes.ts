import type { Engine, Tensor } from '../engine/index.js'
import { SemgenError, shown } from '../errors.js'
import type { Extents } from '../extents.js'
import { CubeFiller, drawPerturbation, type Perturbation, type Scan } from '../perturb/index.js'
import { Random } from '../random.js'
import type { Crop } from './crops.js'
import { labelOf, type Recipe } from './recipes.js'
import type { Sample } from './sampler.js'

/** Of the memory that is free when a run begins, scans may take this part of a card's. Whatever else needs it gets it. */
const scansPart = 0.5

/** Where a batch of cubes is made: tensors of the engine, (N, patch). */
export interface CubeTensors {
  /** Perturbed cubes. */
  readonly input: Tensor
  /** The cubes as they were. */
  readonly target: Tensor
}

/** What a step reads. */
export interface StepInputs extends CubeTensors {
  readonly labels: Tensor
}

/** A place for cubes that a step will read later. */
export function cubeTensors(engine: Engine, batch: number, patch: Extents): CubeTensors {
  const shape = [batch, ...patch, 1]
  return { input: engine.tensor(shape), target: engine.tensor(shape) }
}

export interface CubeMakerOptions {
  /** Of the tensors that are filled. */
  readonly engine: Engine
  readonly scans: ReadonlyMap<string, Scan>
  readonly patch: Extents
  readonly recipe: Recipe
  readonly seed: number
  /** Threads for what the host does; none but the speed depends on them. */
  readonly threads: number
}

/** Makes batches: draws each sample's perturbation from (seed, purpose, pass, index), and has the engine make them. */
export class CubeMaker {
  readonly #options: CubeMakerOptions
  readonly #filler: CubeFiller

  constructor(options: CubeMakerOptions) {
    const { engine, scans, threads } = options
    this.#options = options
    const residentBytes = Math.floor(scansPart * engine.freeMemory())
    this.#filler = new CubeFiller(engine, { scans: scans.values(), residentBytes, threads })
  }

  /** What happens to the cube of a sample. */
  draw(purpose: string, { pass, index }: Sample): Perturbation {
    const { recipe, seed, patch } = this.#options
    return drawPerturbation(recipe.perturbation, new Random(seed, `perturbation/${purpose}`, pass, index), patch)
  }

  /**
   * Fills the first samples.length cubes of `into`, off the JavaScript thread, and while programs run that do not use
   * these tensors.
   * @returns the samples' labels
   */
  async make(purpose: string, samples: readonly Sample[], into: CubeTensors): Promise<Int32Array> {
    const { recipe, patch } = this.#options
    const labels = new Int32Array(samples.length)
    const requests = samples.map((sample, i) => {
      const perturbation = this.draw(purpose, sample)
      labels[i] = labelOf(recipe, sample.crop.label, perturbation)
      return { scan: this.#scan(sample.crop), start: sample.crop.start, size: sample.crop.size, perturbation }
    })
    await this.#filler.fill(requests, patch, into.target, into.input)
    return labels
  }

  /** Gives back what it holds of the card's memory. */
  dispose(): void {
    this.#filler.dispose()
  }

  #scan(crop: Crop): Scan {
    const scan = this.#options.scans.get(crop.scan)
    if (!scan)
      throw new SemgenError(
        'NO_DATA',
        `A pattern was cropped from scan ${shown(crop.scan)}, which is not in the cohort.`,
      )
    return scan
  }
}

/** Sum of squared differences, in float64 and in order. */
export function squaredDistance(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!
    sum += difference * difference
  }
  return sum
}
