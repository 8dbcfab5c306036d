import { choice, decimal, extents, flag, fractions, millimetres, several, text, whole } from './kinds.js'
import { chosen, group, option, positional, required } from './options.js'

/** The scans: what inspect, discover and train read. */
export const cohortOptions = group('Scans', {
  source: positional(
    required(
      several(text('PATH', 'a folder of scans, a glob or a manifest (.json, .csv)')),
      'Scans: a folder (searched recursively), a glob, files, or a manifest (.json, .csv).',
    ),
  ),
  modality: option(choice('auto', 'ct', 'mr'), 'auto', 'What the intensities mean; auto guesses scan by scan.'),
  split: option(
    fractions,
    [0.8, 0.2, 0],
    'Shares of patients for training, validation and test, drawn by the seed. A manifest’s own split wins.',
  ),
  seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0, 'All random choices follow from it.'),
})

/** How scans are prepared for training. */
export const preparationOptions = group('Scans', {
  spacing: chosen(millimetres, 'as stored', 'Resample every scan to this voxel size in millimetres.'),
})

/** Where the computing is done. */
export const engineOptions = group('Machine', {
  device: option(choice('auto', 'cpu', 'cuda', 'sim'), 'auto', 'The engine; auto takes the fastest that works here.'),
  precision: chosen(
    choice('fp32', 'tf32', 'bf16'),
    'by the device',
    'What activations are stored as, and how they are multiplied; tf32 is for cards.',
  ),
  gpu: option(whole(0, 1024), 0, 'Which card of several, counted from 0.'),
  tiles: chosen(text('FILE', 'a table of tiles'), 'none', 'Tile shapes for this card, as bench tune wrote them.'),
  threads: chosen(whole(1, 1024), 'all cores', 'Threads of the CPU engine and of preparation.'),
})

/** What a training step does with memory. */
export const memoryOptions = group('Machine', {
  recompute: option(
    whole(0, 7),
    0,
    'Levels, the finest first, whose activations a step computes again for the gradient instead of keeping them: less memory for more time, and the same bits.',
  ),
})

/** The self-discovery of anatomical patterns. */
export const discoveryOptions = group('Discovery', {
  classes: chosen(whole(2, 100_000), 'fitted to the cohort', 'Patterns to find (C); 44 as published.'),
  neighbours: chosen(whole(1, 100_000), 'fitted to the cohort', 'Training scans in a pattern (K); 200 as published.'),
  validationNeighbours: chosen(
    whole(1, 100_000),
    'fitted to the cohort',
    'Held-out scans in a pattern; 30 as published.',
  ),
  patch: chosen(
    extents(4, 512),
    'fitted to the cohort',
    'Voxels of a crop and of the network’s input; 64x64x32 as published.',
  ),
  frame: option(
    choice('body', 'voxel'),
    'body',
    'What a coordinate means in another scan: the same place in the body’s bounding box, or the same voxel index (as published).',
  ),
  embeddingWidth: chosen(whole(1, 1024), 'fitted to the time', 'Base width of the auto-encoder; 32 as published.'),
  embeddingInput: chosen(
    extents(8, 512),
    'fitted to the time',
    'Whole scans are resized to it; 128x128x64 as published.',
  ),
  embeddingEpochs: chosen(
    whole(1, 1_000_000),
    'fitted to the time',
    'Passes of the auto-encoder over the training scans.',
  ),
  embeddingSkips: option(flag, false, 'Give the auto-encoder skip connections, as published.'),
  embeddingBatch: chosen(whole(1, 4096), 'fitted to the cohort', 'Scans a step of the auto-encoder; 8 as published.'),
  borders: chosen(
    extents(0, 4096),
    'fitted to the scans',
    'Voxels that a crop keeps from the borders of its frame; 100x100x30 as published.',
  ),
  separation: chosen(
    decimal(0, 1000),
    'half a patch; 5 voxels with --frame voxel',
    'Least distance of two patterns: in parts of the patch, or in voxels with --frame voxel.',
  ),
  density: chosen(
    decimal(0, 1),
    'none; 0.15 with --frame voxel on CT',
    'A coordinate is rejected when more than this part of its crop is near dense tissue.',
  ),
})
