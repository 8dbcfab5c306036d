import type { RecipeName } from '../config/index.js'
import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import type { NetworkShape } from '../nn/index.js'
import { namedRecipes, type Perturbation, type Recipe as PerturbationRecipe, quarterTurnsOf } from '../perturb/index.js'

/** What the classification head is asked. */
export type Question =
  | 'nothing'
  /** Which anatomical pattern the crop belongs to. */
  | 'pattern'
  /** By how many quarter turns the crop was rotated. */
  | 'rotation'
  /** Both at once: pattern * 4 + quarter turns. */
  | 'pattern-and-rotation'

/** One stage of a run: which losses move the weights. */
export interface StageLosses {
  readonly name: 'classification' | 'restoration' | 'joint' | 'segmentation'
  readonly restorationWeight: number
  readonly classificationWeight: number
}

/** What a run learns, spelled out. */
export interface Recipe {
  readonly name: RecipeName
  readonly perturbation: PerturbationRecipe
  readonly question: Question
  readonly stages: readonly StageLosses[]
  /** Whether the decoder sees the encoder's levels; copying through them would be all that an auto-encoder learns. */
  readonly skips: boolean
}

interface Definition {
  readonly perturbation: keyof typeof namedRecipes
  readonly restores: boolean
  readonly question: 'nothing' | 'pattern' | 'rotation'
  readonly skips: boolean
}

/**
 * The method and the baselines of its paper, as data. The baselines: auto-encoder; context encoder (Pathak et al. 2016);
 * context restoration (Chen et al. 2019); rotation (Gidaris et al. 2018); Models Genesis (Zhou et al. 2019) and its
 * single tasks.
 */
const definitions: Record<RecipeName, Definition> = {
  'semantic-genesis': { perturbation: 'official', restores: true, question: 'pattern', skips: true },
  'models-genesis': { perturbation: 'models-genesis', restores: true, question: 'nothing', skips: true },
  autoencoder: { perturbation: 'none', restores: true, question: 'nothing', skips: false },
  inpainting: { perturbation: 'inpainting', restores: true, question: 'nothing', skips: true },
  outpainting: { perturbation: 'outpainting', restores: true, question: 'nothing', skips: true },
  shuffling: { perturbation: 'shuffling', restores: true, question: 'nothing', skips: true },
  nonlinear: { perturbation: 'nonlinear', restores: true, question: 'nothing', skips: true },
  rotation: { perturbation: 'rotation', restores: false, question: 'rotation', skips: true },
  classification: { perturbation: 'official', restores: false, question: 'pattern', skips: true },
}

export interface RecipeOptions {
  readonly recipe: RecipeName
  /** Adds discovered patterns to a baseline: the paper's add-on experiment. */
  readonly semantics: boolean
  /** `both`: classification alone first, then both losses together; `joint`: both from the start. */
  readonly stages: 'both' | 'joint'
  readonly restorationWeight: number
  readonly classificationWeight: number
  /** In place of the recipe's own perturbation. */
  readonly perturbation?: PerturbationRecipe | undefined
}

/** Whether a recipe names patterns by itself, without --semantics. */
export const namesPatterns = (name: RecipeName): boolean => definitions[name].question === 'pattern'

/** @throws SemgenError BAD_OPTION when a loss that the recipe needs has no weight */
export function makeRecipe(options: RecipeOptions): Recipe {
  const { recipe: name, semantics, restorationWeight, classificationWeight } = options
  const definition = definitions[name]
  const question: Question =
    !semantics || definition.question === 'pattern'
      ? definition.question
      : definition.question === 'rotation'
        ? 'pattern-and-rotation'
        : 'pattern'
  if (definition.restores && !(restorationWeight > 0))
    throw new SemgenError('BAD_OPTION', `The recipe ${name} restores: --restoration-weight must be above 0.`)
  if (question !== 'nothing' && !(classificationWeight > 0))
    throw new SemgenError('BAD_OPTION', `The recipe ${name} classifies: --classification-weight must be above 0.`)
  return {
    name,
    perturbation: options.perturbation ?? inProportion(namedRecipes[definition.perturbation]),
    question,
    stages: stagesOf(definition.restores, question, options),
    skips: definition.skips,
  }
}

/**
 * The recipe with its deformation in proportion to the patch. At the published 64 x 64 x 32 that changes nothing; in a
 * cube of 16 the published four voxels of displacement would leave nothing to restore it from.
 */
function inProportion(recipe: PerturbationRecipe): PerturbationRecipe {
  const stages = recipe.stages.map((stage) => ({
    ...stage,
    oneOf: stage.oneOf.map(({ share, step }) => ({
      share,
      step: step.kind === 'elastic' ? { ...step, unit: 'cube' as const } : step,
    })),
  }))
  return { ...recipe, stages }
}

/** A loss alone needs no weight against another: it counts as it is. */
function stagesOf(restores: boolean, question: Question, options: RecipeOptions): StageLosses[] {
  const { restorationWeight, classificationWeight } = options
  const classification: StageLosses = { name: 'classification', restorationWeight: 0, classificationWeight: 1 }
  if (!restores) return [classification]
  if (question === 'nothing') return [{ name: 'restoration', restorationWeight: 1, classificationWeight: 0 }]
  const joint: StageLosses = { name: 'joint', restorationWeight, classificationWeight }
  return options.stages === 'both' ? [classification, joint] : [joint]
}

export const needsPatterns = ({ question }: Recipe): boolean =>
  question === 'pattern' || question === 'pattern-and-rotation'

/** Outputs of the head, given how many patterns there are; 0 without a head. */
export function classCount({ question }: Recipe, patterns: number): number {
  return { nothing: 0, pattern: patterns, rotation: 4, 'pattern-and-rotation': patterns * 4 }[question]
}

/** The right answer for one cube. */
export function labelOf({ question }: Recipe, pattern: number, perturbation: Perturbation): number {
  switch (question) {
    case 'nothing':
      return 0
    case 'pattern':
      return pattern
    case 'rotation':
      return quarterTurnsOf(perturbation)
    case 'pattern-and-rotation':
      return pattern * 4 + quarterTurnsOf(perturbation)
  }
}

/** The network that a recipe trains. */
export function networkOf(
  recipe: Recipe,
  patterns: number,
  size: {
    readonly baseWidth: number
    readonly depth: number
    readonly patch: Extents
    readonly norm: 'batch' | 'running'
  },
): NetworkShape {
  const classes = classCount(recipe, patterns)
  return {
    kind: classes > 0 ? 'y-net' : 'u-net',
    ...size,
    inputChannels: 1,
    outputChannels: 1,
    classes,
    skips: recipe.skips,
  }
}
