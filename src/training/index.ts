export type { RunResult } from './result.js'
export type { StageResult } from './state.js'
export { train } from './train.js'
export type { ValidationFigures } from './validation.js'
