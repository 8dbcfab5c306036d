import { choice, extents, flag, text, whole } from './kinds.js'
import { chosen, group, type OptionsOf, option, required } from './options.js'

/** The synthetic cohort. */
export const phantomOptions = {
  ...group('Cohort', {
    out: required(text('DIR', 'a folder'), 'Where the scans go; made where it does not exist.'),
    count: option(whole(1, 100_000), 24, 'Scans, one a patient. A larger cohort begins with a smaller one.'),
    seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0, 'All random choices follow from it.'),
    nodules: option(whole(0, 20), 3, 'The most lung nodules a patient has; 0 for none.'),
  }),
  ...group('Scans', {
    format: option(choice('nifti', 'metaimage'), 'nifti', 'Files: .nii.gz or .mha.'),
    size: chosen(
      extents(16, 1024),
      'varies by patient, about 150x110x110',
      'Voxels of every scan; their size in millimetres then follows from the field of view.',
    ),
  }),
  ...group('Result', {
    force: option(flag, false, 'Replace phantoms of other settings that the folder holds.'),
  }),
}

export type PhantomOptions = OptionsOf<typeof phantomOptions>
