export { type CubeOptions, type CubeRequest, fillCubes, resizeScan, type Scan } from './cubes.js'
export {
  type Block,
  checkPatch,
  drawPerturbation,
  type Perturbation,
  type PerturbationStep,
  quarterTurnsOf,
  type Stream,
} from './draw.js'
export { CubeFiller, type CubeFillerOptions } from './filler.js'
export {
  modelsGenesisRecipe,
  namedRecipes,
  officialRecipe,
  parseRecipe,
  type Recipe,
  type RecipeName,
  recipeSchema,
} from './recipe.js'
