import { performance } from 'node:perf_hooks'
import type { Engine } from '../engine/index.js'
import { Network, type NetworkShape, publishedYNet, TrainingStep } from '../nn/index.js'
import type { CropSource } from './crops.js'
import type { CubeMaker } from './cubes.js'
import { trainingFlops } from './flops.js'
import type { StageCost } from './planning.js'
import { cubeFeed } from './pretraining.js'
import type { StageLosses } from './recipes.js'
import { Sampler } from './sampler.js'
import { Validation } from './validation.js'

/** A stage is timed for about so long, after one step that is not counted. */
const timedSeconds = 2
const timedSteps = { fewest: 2, most: 20 }

/** What the engine does in a training step, floating-point operations a second: a few steps of a small network. */
export async function measureFlops(engine: Engine, signal?: AbortSignal): Promise<number> {
  const shape: NetworkShape = { ...publishedYNet(8), baseWidth: 16, patch: [32, 32, 16] }
  const losses: StageLosses = { name: 'joint', restorationWeight: 1, classificationWeight: 0.01 }
  const batch = 2
  const step = new TrainingStep(new Network(engine, shape, 0), { batch, ...losses, optimizer: { kind: 'adam' } })
  try {
    const seconds = await timed(() => step.run(0), signal)
    return (batch * trainingFlops(shape, losses)) / seconds
  } finally {
    step.dispose()
  }
}

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

/** Seconds of one call: the mean over some, after one that is not counted. */
async function timed(call: () => Promise<unknown>, signal?: AbortSignal): Promise<number> {
  await call()
  const start = performance.now()
  let calls = 0
  let seconds = 0
  while (calls < timedSteps.fewest || (calls < timedSteps.most && seconds < timedSeconds)) {
    signal?.throwIfAborted()
    await call()
    calls++
    seconds = (performance.now() - start) / 1000
  }
  return seconds / calls
}
