export { describeWeights, kindOf, optimizerPrefix, type TensorKind, type WeightsDescription } from './describe.js'
export type { Dtype, TensorData } from './dtypes.js'
export {
  readSafetensors,
  SafetensorsFile,
  type StoredTensor,
  type TensorEntry,
  type TensorToWrite,
  writeSafetensors,
} from './safetensors.js'
export { stateFromStored, stateToWrite } from './state-dict.js'
