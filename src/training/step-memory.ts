import { givenOptions, type PlanOptions, planOptions } from '../config/index.js'
import { openEngine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { voxelCount } from '../extents.js'
import { EvaluationStep, Network, TrainingStep } from '../nn/index.js'
import { makeRecipe, needsPatterns, networkOf, type StageLosses } from './recipes.js'

/** What training takes of a device's memory, in bytes, and of its time, in operations. */
export interface StepMemory {
  /** Parameters, statistics, the optimizer's moments. */
  readonly parameters: number
  /** Activations, gradients and scratch of a step, shared by lifetimes. */
  readonly activations: number
  /** The same of a validation, which runs between steps. */
  readonly validation: number
  /** Cubes: those of the step, those of the validation, and those that are made meanwhile. */
  readonly cubes: number
  readonly total: number
  /** Floating-point operations of a step, as the operations are written. */
  readonly flops: number
}

/**
 * Plans a training step and a validation of `batch` cubes, and allocates neither. The memory is what an engine asks for:
 * its library, its driver and this program come on top.
 * @throws SemgenError BAD_OPTION
 */
export function stepMemory(network: Network, losses: StageLosses, batch: number): StepMemory {
  const step = new TrainingStep(network, { batch, ...losses, optimizer: { kind: 'adam' } })
  const evaluation = new EvaluationStep(network, { batch, ...losses })
  try {
    const [training, validating] = [step.foresee(), evaluation.foresee()]
    const { patch, inputChannels, outputChannels } = network.shape
    const made = 4 * batch * voxelCount(patch) * (inputChannels + outputChannels)
    const inputs = 4 * (step.input.length + step.target.length + step.labels.length)
    const parameters = training.persistentBytes - inputs
    // Beside the network's parameters, a validation keeps the cubes it reads, and those it restores.
    const ofValidation = 4 * (inputs / 4 + (evaluation.output?.length ?? 0) + (evaluation.logits?.length ?? 0))
    const cubes = inputs + ofValidation + made
    const [activations, validation] = [training.arenaBytes, validating.arenaBytes]
    return {
      parameters,
      activations,
      validation,
      cubes,
      total: parameters + activations + validation + cubes,
      flops: training.operations.reduce((sum, { flops }) => sum + flops, 0),
    }
  } finally {
    step.dispose()
    evaluation.dispose()
  }
}

/** Bytes that one cube takes in a training step, for activations. */
export function bytesPerCube(network: Network, losses: StageLosses): number {
  const step = new TrainingStep(network, { batch: 1, ...losses, optimizer: { kind: 'adam' } })
  try {
    return step.foresee().arenaBytes
  } finally {
    step.dispose()
  }
}

export interface PlannedStep extends StepMemory {
  readonly batch: number
  readonly recompute: number
  /** The largest batch that this device's free memory would hold; 0 where not one cube fits. */
  readonly fits: number
}

/**
 * What steps of a recipe's network would need on a device, for every batch and every number of recomputed levels.
 * @throws SemgenError BAD_OPTION, NO_DEVICE
 */
export function planSteps(options: PlanOptions): PlannedStep[] {
  const engine = openEngine(options)
  const recipe = makeRecipe({
    ...options,
    semantics: false,
    stages: 'joint',
    restorationWeight: 1,
    classificationWeight: 0.01,
  })
  if (!needsPatterns(recipe) && givenOptions(planOptions, options).has('classes'))
    throw new SemgenError(
      'BAD_OPTION',
      `--classes counts patterns, and the recipe ${recipe.name} names none: leave it away.`,
    )
  const shape = networkOf(recipe, options.classes, { ...options, norm: 'running' })
  const losses = recipe.stages[0]!
  const free = engine.freeMemory()
  const levels = options.recompute ?? Array.from({ length: options.depth + 1 }, (_, level) => level)
  return levels.flatMap((recompute) => {
    const network = new Network(engine, shape, 0, recompute)
    return options.batch.map((batch) => {
      const planned = stepMemory(network, losses, batch)
      // Against a cube fewer: one more than the largest batch is refused. A batch of one has nothing below it.
      const other = batch > 1 ? batch - 1 : 2
      const cube = (stepMemory(network, losses, other).total - planned.total) / (other - batch)
      // What this plan holds itself is given back before a run begins.
      const left = free + planned.parameters - planned.total
      return { batch, recompute, ...planned, fits: Math.max(0, batch + Math.floor(left / cube)) }
    })
  })
}
