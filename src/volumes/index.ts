export {
  type Cohort,
  type CohortScan,
  cohortTable,
  guessModality,
  type InspectOptions,
  inspectCohort,
  inspectScans,
  type Modality,
  modalities,
  parseCohort,
  writeCohort,
} from './cohort.js'
export { findScans, type ScanFile, type SplitName, scanName, splitFor, splitNames } from './cohort-files.js'
export { type NpyHeader, readNpyHeader } from './npy.js'
export { Npz, type NpzArray } from './npz.js'
export { mapVoxels, type PreparedCohort, type PreparedScan, type PrepareOptions, prepareCohort } from './prepare.js'
export { isVolumeFile, readSingleVolume, readVolume } from './read.js'
export { patientNamed } from './split.js'
export {
  type Affine,
  canonical,
  cornersApart,
  orientationOf,
  scaledValues,
  spacingOf,
  type Volume,
  voxelAt,
} from './volume.js'
export { type ImageToWrite, writeMetaImage, writeNifti, writeVolume } from './write.js'
