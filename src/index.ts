/** The public TypeScript API. */
export type { DiscoverOptions, RecipeName, TrainOptions } from './config/index.js'
export { type Examination, examine } from './doctor/index.js'
export {
  type Device,
  type Engine,
  type EngineOptions,
  openEngine,
  type Precision,
  type Tensor,
} from './engine/index.js'
export { type ErrorCode, SemgenError } from './errors.js'
export { type Progress, silent, type Task } from './progress.js'
export { Random } from './random.js'
