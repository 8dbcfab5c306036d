/** The public TypeScript API: what the commands are made of. */
export {
  type CompareOptions,
  compareOptions,
  completeOptions,
  type DiscoverOptions,
  discoverOptions,
  type EvaluateOptions,
  evaluateOptions,
  type FinetuneOptions,
  finetuneOptions,
  type PhantomOptions,
  type PredictOptions,
  predictOptions,
  type RecipeName,
  type TrainOptions,
  trainOptions,
} from './config/index.js'
export { discoverCohort, type PatternSet, readPatterns, writePatterns } from './discovery/index.js'
export { type Examination, examine, type Finding } from './doctor/index.js'
export {
  type Device,
  type Engine,
  type EngineOptions,
  openEngine,
  type Precision,
  type Tensor,
} from './engine/index.js'
export { type ErrorCode, SemgenError } from './errors.js'
export { type EvaluationResult, evaluate } from './evaluation/index.js'
export type { Extents } from './extents.js'
export {
  EmbeddingStep,
  EvaluationStep,
  Network,
  type NetworkShape,
  publishedUNet,
  publishedYNet,
  TrainingStep,
} from './nn/index.js'
export { drawPerturbation, fillCubes, namedRecipes, type Perturbation, type Recipe } from './perturb/index.js'
export { type MadePhantoms, makePhantoms } from './phantom/index.js'
export { type Progress, silent, type Task } from './progress.js'
export { Random } from './random.js'
export { type MetricsEvent, writeReport } from './report/index.js'
export { type RunResult, type StageResult, train, type ValidationFigures } from './training/index.js'
export { compare, type FinetuneResult, finetune, predict } from './transfer/index.js'
export {
  type Cohort,
  type CohortScan,
  inspectCohort,
  type PreparedCohort,
  type PreparedScan,
  prepareCohort,
  readVolume,
  type Volume,
  writeCohort,
  writeVolume,
} from './volumes/index.js'
export {
  averageWeights,
  type ConvertOptions,
  compareWeights,
  convertWeights,
  describeWeights,
  openWeights,
  readNetwork,
  readSafetensors,
  type StoredNetwork,
  type WeightsDescription,
  type WeightsDifference,
  type WeightsFile,
  writeNetwork,
  writeSafetensors,
} from './weights/index.js'
