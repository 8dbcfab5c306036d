import type { Tensor } from '../engine/index.js'
import { SemgenError, shown } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { drawPerturbation, fillCubes, type Perturbation, type Scan } from '../perturb/index.js'
import { Random } from '../random.js'
import type { Crop } from './crops.js'
import { labelOf, type Recipe } from './recipes.js'
import type { Sample } from './sampler.js'

/** Cubes on their way to the engine: what a step's input, target and labels will hold. */
export interface Batch {
  /** Perturbed cubes, (N, patch), z fastest. */
  readonly input: Float32Array
  /** The cubes as they were. */
  readonly target: Float32Array
  readonly labels: Int32Array
}

export function emptyBatch(batch: number, patch: Extents): Batch {
  const values = batch * voxelCount(patch)
  return { input: new Float32Array(values), target: new Float32Array(values), labels: new Int32Array(batch) }
}

/** What a step reads. */
export interface StepInputs {
  readonly input: Tensor
  readonly target: Tensor
  readonly labels: Tensor
}

/** Hands a batch to the engine. */
export function load(batch: Batch, into: StepInputs): void {
  into.input.write(batch.input)
  into.target.write(batch.target)
  into.labels.write(batch.labels)
}

export interface CubeMakerOptions {
  readonly scans: ReadonlyMap<string, Scan>
  readonly patch: Extents
  readonly recipe: Recipe
  readonly seed: number
  /** Threads that fill cubes; none but the speed depends on them. */
  readonly threads: number
}

/** Makes batches: draws each sample's perturbation from (seed, purpose, pass, index), and has them filled natively. */
export class CubeMaker {
  readonly #options: CubeMakerOptions

  constructor(options: CubeMakerOptions) {
    this.#options = options
  }

  /** What happens to the cube of a sample. */
  draw(purpose: string, { pass, index }: Sample): Perturbation {
    const { recipe, seed, patch } = this.#options
    return drawPerturbation(recipe.perturbation, new Random(seed, `perturbation/${purpose}`, pass, index), patch)
  }

  /** Fills the first samples.length cubes of `into`, off the JavaScript thread. */
  async make(purpose: string, samples: readonly Sample[], into: Batch): Promise<void> {
    const { recipe, patch, threads } = this.#options
    const requests = samples.map((sample, i) => {
      const perturbation = this.draw(purpose, sample)
      into.labels[i] = labelOf(recipe, sample.crop.label, perturbation)
      return { scan: this.#scan(sample.crop), start: sample.crop.start, size: sample.crop.size, perturbation }
    })
    await fillCubes(requests, patch, into.target, into.input, { threads })
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
export function squaredDistance({ input, target }: Pick<Batch, 'input' | 'target'>): number {
  let sum = 0
  for (let i = 0; i < input.length; i++) {
    const difference = input[i]! - target[i]!
    sum += difference * difference
  }
  return sum
}
