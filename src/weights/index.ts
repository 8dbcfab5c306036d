export { averageWeights } from './average.js'
export { compareWeights, type WeightsDifference } from './compare.js'
export { type ConvertOptions, convertWeights } from './convert.js'
export { describeWeights, type WeightsDescription } from './describe.js'
export type { Dtype, TensorData } from './dtypes.js'
export { type Fit, type FittedTensor, fitLines, fitWeights, loadPartly, type Outcome } from './fit.js'
export { kindOf, optimizerPrefix, type TensorKind } from './kinds.js'
export { readNetwork, type StoredNetwork, weightsFormat, writeNetwork } from './network-file.js'
export { shapeOfWeights, sizeOfWeights } from './network-shape.js'
export { openWeights } from './open.js'
export {
  readSafetensors,
  SafetensorsFile,
  type StoredTensor,
  type TensorEntry,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors.js'
export { stateFromStored, stateToWrite } from './state-dict.js'
export type { WeightsFile, WeightsFormat } from './weights-file.js'
