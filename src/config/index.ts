export { closest } from './closest.js'
export { completeOptions } from './complete.js'
export { type EvaluateOptions, evaluateOptions } from './evaluate-options.js'
export { fileLayer } from './file.js'
export * from './kinds.js'
export * from './options.js'
export { type PhantomOptions, phantomOptions } from './phantom-options.js'
export { type PlanOptions, planOptions } from './plan-options.js'
export { describePreset, type PresetName, presetLayer, presetNames } from './presets.js'
export {
  commandLineLayer,
  environmentLayer,
  type Given,
  givenAs,
  givenOptions,
  type Layer,
  resolveOptions,
} from './resolve.js'
export { checkResume, resumedOptions } from './resumed.js'
export * from './shared-options.js'
export {
  type DiscoverOptions,
  discoverOptions,
  type RecipeName,
  recipeNames,
  type TrainOptions,
  trainOptions,
} from './train-options.js'
export {
  type CompareOptions,
  compareOptions,
  type FinetuneOptions,
  finetuneOptions,
  type PredictOptions,
  predictOptions,
} from './transfer-options.js'
