export { type ClassificationFigures, type ClassificationOptions, ClassificationStep } from './classification.js'
export { type DecoderMode, usualMomentum } from './layers.js'
export { Network } from './network.js'
export type { OptimizerOptions } from './optimizer.js'
export { PredictionStep } from './prediction.js'
export { type SegmentationFigures, type SegmentationOptions, SegmentationStep } from './segmentation.js'
export {
  checkShape,
  latentWidth,
  levelName,
  type NetworkShape,
  publishedUNet,
  publishedYNet,
  stateLayout,
  type TensorLayout,
} from './shape.js'
export {
  EmbeddingStep,
  EvaluationStep,
  type Figures,
  type LossOptions,
  type StepOptions,
  TrainingStep,
} from './steps.js'
