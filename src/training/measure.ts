import { timed } from '../learning/rate.js'
import { type Network, TrainingStep } from '../nn/index.js'
import type { CropSource } from './crops.js'
import type { CubeMaker } from './cubes.js'
import type { StageCost } from './planning.js'
import { cubeFeed } from './pretraining.js'
import type { StageLosses } from './recipes.js'
import { Sampler } from './sampler.js'
import { Validation } from './validation.js'

export interface Measured {
  readonly network: Network
  readonly maker: CubeMaker
  readonly trainingCrops: CropSource
  readonly validationCrops: CropSource
  readonly losses: readonly StageLosses[]
  readonly batch: number
}

/**
 * Times every stage on the network and the cubes it will have, cubes made while steps run. The weights are afterwards
 * what they were.
 * @throws SemgenError OUT_OF_MEMORY when a step does not fit
 */
export async function measureStages(of: Measured, signal?: AbortSignal): Promise<StageCost[]> {
  const weights = of.network.save()
  try {
    const costs: StageCost[] = []
    for (const losses of of.losses) costs.push(await measureStage(of, losses, signal))
    return costs
  } finally {
    of.network.load(weights)
  }
}

async function measureStage(of: Measured, losses: StageLosses, signal?: AbortSignal): Promise<StageCost> {
  const { network, maker, batch } = of
  const step = new TrainingStep(network, { batch, ...losses, optimizer: { kind: 'adam' } })
  const sampler = new Sampler(of.trainingCrops, 0, 'measure')
  const feed = cubeFeed(maker, sampler, { purpose: 'measure', batch, into: step, network })
  let made = 0
  try {
    const secondsPerStep = await timed(async () => {
      await feed.supply(made++)
      await step.run(0)
    }, signal)
    const cubes = Math.min(batch, of.validationCrops.size)
    const few: CropSource = { size: cubes, crop: (pass, index) => of.validationCrops.crop(pass, index) }
    const validation = new Validation(network, maker, few, losses, batch)
    const secondsPerValidation = await timed(() => validation.run(signal), signal)
    const { arenaBytes, persistentBytes } = step.plan
    // The feed has a second place for the step's cubes.
    const bytes = arenaBytes + persistentBytes + validation.bytes + 4 * (step.input.length + step.target.length)
    validation.dispose()
    return { secondsPerStep, secondsPerValidationCube: secondsPerValidation / cubes, bytes }
  } finally {
    await feed.settle()
    step.dispose()
  }
}
