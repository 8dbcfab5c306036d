export { type Device, Engine, type EngineOptions, openEngine, type Precision, Program, Tensor } from './engine.js'
export type { EngineAbout, Plan, PlannedOperation, TensorId } from './engine-addon.js'
