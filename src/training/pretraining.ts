import { type Network, TrainingStep } from '../nn/index.js'
import type { CropSource } from './crops.js'
import { type CubeMaker, cubeTensors, type StepInputs } from './cubes.js'
import { Feed } from './feed.js'
import type { StagePlan } from './plan.js'
import type { Recipe } from './recipes.js'
import { Sampler } from './sampler.js'
import type { StageParts } from './stage.js'
import { Validation } from './validation.js'

export interface Pretraining {
  readonly network: Network
  /** Cubes a step. */
  readonly batch: number
  readonly recipe: Recipe
  readonly maker: CubeMaker
  readonly trainingCrops: CropSource
  readonly validationCrops: CropSource
  readonly seed: number
}

/** What a stage of pre-training runs: its step, its perturbed cubes, its held-out cubes. */
export function pretrainingParts(of: Pretraining, plan: StagePlan): StageParts {
  const { network, batch, recipe, maker } = of
  const step = new TrainingStep(network, { batch, ...plan, optimizer: { kind: 'adam' } })
  const sampler = new Sampler(of.trainingCrops, of.seed, plan.name)
  return {
    step,
    feed: cubeFeed(maker, sampler, { purpose: `${recipe.name}/${plan.name}`, batch, into: step, network }),
    validation: new Validation(network, maker, of.validationCrops, plan, batch),
  }
}

/** Perturbed cubes for a step, the next batch made while one is learnt from. */
export function cubeFeed(
  maker: CubeMaker,
  sampler: Sampler,
  of: { readonly purpose: string; readonly batch: number; readonly into: StepInputs; readonly network: Network },
): Feed {
  const made = cubeTensors(of.network.engine, of.batch, of.network.shape.patch)
  let labels: Int32Array
  return new Feed(
    async (step) => {
      labels = await maker.make(of.purpose, sampler.batch(step, of.batch), made)
    },
    () => {
      of.into.input.write(made.input)
      of.into.target.write(made.target)
      of.into.labels.write(labels)
    },
  )
}
