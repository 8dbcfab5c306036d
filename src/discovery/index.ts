export { discoverCohort } from './alone.js'
export { choosePatch } from './choose.js'
export { checkCohort, discover } from './discover.js'
export { medianSpacing } from './frame.js'
export { drawMontages, type ShownScan } from './montage.js'
export type { DiscoveryOptions, FrameName } from './options.js'
export {
  checkPatterns,
  type EmbeddingSummary,
  type PatternClass,
  type PatternCrop,
  type PatternSet,
  patternSet,
  readPatterns,
  writePatterns,
} from './patterns.js'
export { type ReadyPatterns, readPublishedPatterns } from './published.js'
