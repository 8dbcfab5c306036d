export { type MadePhantoms, makePhantoms } from './cohort.js'
export {
  type Crop,
  type CropClass,
  classPurity,
  dominantOrgan,
  ignoredLabels,
  type LabelMap,
  measurePurity,
  type Purity,
  readLabelMap,
} from './purity.js'
export { makeScan, type PlannedScan, planScan, type Scan } from './scan.js'
export { type LabelName, labelNames, labelOf } from './tissues.js'
