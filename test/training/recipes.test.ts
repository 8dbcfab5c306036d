import { describe, expect, it } from 'vitest'
import { recipeNames } from '../../src/config/index.js'
import type { Extents } from '../../src/extents.js'
import { drawPerturbation, namedRecipes } from '../../src/perturb/index.js'
import { Random } from '../../src/random.js'
import {
  classCount,
  labelOf,
  makeRecipe,
  needsPatterns,
  networkOf,
  type RecipeOptions,
} from '../../src/training/recipes.js'

const usual: RecipeOptions = {
  recipe: 'semantic-genesis',
  semantics: false,
  stages: 'both',
  restorationWeight: 1,
  classificationWeight: 0.01,
}
const size = { baseWidth: 32, depth: 4, patch: [64, 64, 32] as const, norm: 'running' as const }

describe('recipes', () => {
  it('is the published method by default: classification alone, then both with weights 1 and 0.01', () => {
    const recipe = makeRecipe(usual)
    expect(recipe.perturbation).toMatchObject({ name: 'official', stages: [{}, { oneOf: [{}, {}, {}, {}] }] })
    expect(recipe.stages).toEqual([
      { name: 'classification', restorationWeight: 0, classificationWeight: 1 },
      { name: 'joint', restorationWeight: 1, classificationWeight: 0.01 },
    ])
    expect(networkOf(recipe, 44, size)).toMatchObject({ kind: 'y-net', classes: 44, skips: true })
    expect(makeRecipe({ ...usual, stages: 'joint' }).stages.map(({ name }) => name)).toEqual(['joint'])
  })

  it.each([
    ['models-genesis', ['restoration'], 'u-net', 0],
    ['autoencoder', ['restoration'], 'u-net', 0],
    ['inpainting', ['restoration'], 'u-net', 0],
    ['shuffling', ['restoration'], 'u-net', 0],
    ['rotation', ['classification'], 'y-net', 4],
    ['classification', ['classification'], 'y-net', 7],
  ] as const)('%s has stages %j', (name, stages, kind, classes) => {
    const recipe = makeRecipe({ ...usual, recipe: name })
    expect(recipe.stages.map((stage) => stage.name)).toEqual(stages)
    expect(networkOf(recipe, 7, size)).toMatchObject({ kind, classes })
    expect(needsPatterns(recipe)).toBe(name === 'classification')
  })

  it.each(recipeNames)('%s with semantics names patterns', (name) => {
    const recipe = makeRecipe({ ...usual, recipe: name, semantics: true })
    expect(needsPatterns(recipe)).toBe(true)
    expect(classCount(recipe, 10)).toBe(name === 'rotation' ? 40 : 10)
    const restores = !['rotation', 'classification'].includes(name)
    expect(recipe.stages.map((stage) => stage.name)).toEqual(
      restores ? ['classification', 'joint'] : ['classification'],
    )
  })

  it('asks for pattern and rotation at once in as many answers as there are pairs', () => {
    const recipe = makeRecipe({ ...usual, recipe: 'rotation', semantics: true })
    const seen = new Set<number>()
    for (let i = 0; i < 60; i++) {
      const pattern = i % 3
      const draw = drawPerturbation(recipe.perturbation, new Random(1, 'test', i), [8, 8, 8])
      const label = labelOf(recipe, pattern, draw)
      expect(Math.floor(label / 4)).toBe(pattern)
      seen.add(label)
    }
    expect(seen.size).toBe(12)
  })

  it('deforms in proportion to the patch, at the published one as published', () => {
    const { perturbation } = makeRecipe(usual)
    const draw = (recipe: typeof perturbation, shape: Extents) =>
      drawPerturbation(recipe, new Random(3, 'test'), shape).steps[0]
    expect(draw(perturbation, [64, 64, 32])).toEqual(draw(namedRecipes.official, [64, 64, 32]))
    expect(draw(perturbation, [16, 16, 16])).toMatchObject({ kind: 'elastic', sigma: [2, 2, 4] })
    const asGiven = makeRecipe({ ...usual, perturbation: namedRecipes.official }).perturbation
    expect(asGiven).toBe(namedRecipes.official)
  })

  it('needs the weights of the losses it has', () => {
    expect(() => makeRecipe({ ...usual, restorationWeight: 0 })).toThrow(/--restoration-weight/)
    expect(() => makeRecipe({ ...usual, classificationWeight: 0 })).toThrow(/--classification-weight/)
    expect(() => makeRecipe({ ...usual, recipe: 'models-genesis', classificationWeight: 0 })).not.toThrow()
  })
})
