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
