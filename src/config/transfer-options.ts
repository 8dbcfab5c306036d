import { choice, decimal, duration, extents, flag, several, text, whole } from './kinds.js'
import { chosen, group, type OptionsOf, option, positional, required } from './options.js'
import { presetNames } from './presets.js'
import { cohortOptions, engineOptions, memoryOptions, preparationOptions } from './shared-options.js'

const { modality, split, seed } = cohortOptions

export const finetuneOptions = {
  ...group('Data', {
    preset: chosen(
      choice(...presetNames),
      'none',
      'A target task of the paper, or one that was measured here: sets what is not set otherwise, and says what.',
    ),
    task: option(
      choice('segment', 'classify'),
      'segment',
      'What is to be learnt: which voxels belong to a label, or which class an image is of.',
    ),
    data: required(
      text('SPEC', 'a folder of images/ and labels/, a dataset.json, a .csv or a .npz'),
      'Labelled cases. To segment: a folder of images/ and labels/ of the same names, a folder for every case (BraTS), volume-N beside segmentation-N (LiTS), the Decathlon’s dataset.json, or a .csv with the columns image and label. ' +
        'To classify: a .npz in MedMNIST’s layout, a .csv with the columns image and label, or a folder of scans with --candidates.',
    ),
    labelFraction: option(
      decimal(0, 1, true),
      1,
      'Share of the training cases whose labels are used, drawn by the seed (of each class): for the cost of annotation.',
    ),
    modality,
    split,
    folds: chosen(
      whole(2, 100),
      'none: one split',
      'Cross-validation: cases outside the test part are drawn into so many parts, by patient; one validates, the others train.',
    ),
    fold: option(whole(1, 100), 1, 'Which part of --folds validates; each needs its own --out.'),
    seed,
  }),
  ...preparationOptions,
  ...group('Network', {
    init: option(
      text('WEIGHTS', 'scratch, or the weights of a pre-training'),
      'scratch',
      'Where the network starts: scratch, or weights: best.safetensors of a pre-training, a .pt or a Keras .h5.',
    ),
    freeze: option(choice('none', 'encoder'), 'none', 'What keeps its weights.'),
    baseWidth: chosen(whole(1, 1024), 'that of --init, or 16', 'Channels of the first conv unit; 32 as published.'),
    depth: chosen(whole(2, 7), 'that of --init, or fitted to the patch', 'Levels of resolution; 4 as published.'),
    patch: chosen(extents(4, 512), 'fitted to the images', 'Voxels of the network’s input; 64x64x32 as published.'),
    norm: option(
      choice('running', 'batch'),
      'running',
      'Statistics that normalise at inference; batch as published, and with --batch 1 the same as instance normalisation.',
    ),
  }),
  ...group('Training', {
    augment: chosen(
      several(choice('none', 'sides', 'flips', 'rotations', 'scaling', 'shifts', 'intensity')),
      'rotations, scaling, intensity; shifts, too, to classify',
      'What happens to training patches; sides mirrors left and right, flips every axis.',
    ),
    augmentStrength: option(
      choice('mild', 'strong'),
      'mild',
      'How often, and how far: mild turns by up to 15 degrees, strong by up to 22.5, and stretches each axis by itself; strong wants more steps.',
    ),
    batch: option(whole(1, 4096), 4, 'Patches a step; 16 as published.'),
    epochs: chosen(whole(1, 1_000_000), '100, or fitted to --max-time', 'Validations; steps lie between them.'),
    steps: chosen(
      whole(1, 1_000_000),
      'all training cases once, at least 25; what --max-time leaves --epochs',
      'Steps an epoch.',
    ),
    maxTime: chosen(duration, 'none', 'Fit the schedule to this much time.'),
    learningRate: option(decimal(0, 10, true), 0.001, 'Step size of Adam.'),
    schedule: chosen(
      choice('plateau', 'polynomial', 'cosine', 'constant'),
      'plateau as published; polynomial under --max-time',
      'How the learning rate falls.',
    ),
    patience: option(whole(1, 1_000_000), 50, 'Stop after so many validations without a better one.'),
  }),
  ...group('To segment', {
    channels: chosen(
      text('NAMES', 'names of channels, or what they begin with, with commas between'),
      'all that every case has',
      'Channels to use, in this order, where a case has its files in a folder of its own: "flair,t1c".',
    ),
    labels: chosen(
      text('LABELS', 'labels ("1,2") or groups of them ("whole=1-4;core=1,4")'),
      'every label of the training part',
      'What to segment: labels, each an output of its own, or named groups of labels, which may overlap.',
    ),
    loss: option(
      choice('dice', 'dice-ce'),
      'dice-ce',
      'Dice as published, or Dice and binary cross-entropy, each of weight 1.',
    ),
    foreground: option(decimal(0, 1), 0.5, 'Share of training patches that are centred on a voxel to be found.'),
    overlap: option(
      decimal(0, 0.9),
      0.5,
      'Share of a window that the next one covers again, when a whole scan is predicted.',
    ),
  }),
  ...group('To classify', {
    candidates: chosen(
      text('CSV', 'a list with the columns seriesuid, coordX, coordY, coordZ and class'),
      'none: whole images are classified',
      'Places in scans to classify the surroundings of, in world millimetres, as LUNA16 lists them.',
    ),
    fit: option(
      choice('resize', 'crop'),
      'resize',
      'How a whole image becomes the network’s input: resized to it, or its middle at its own voxel size.',
    ),
    classWeights: option(
      choice('none', 'balanced'),
      'none',
      'Whether every image counts alike, or every class: balanced draws each as often, however few images it has.',
    ),
  }),
  ...group('Run', {
    out: required(text('RUN', 'a folder for the run'), 'Folder of the run: configuration, checkpoints, report.'),
    resume: option(flag, false, 'Go on where the run in that folder stopped.'),
    force: option(flag, false, 'Replace what the folder holds, as soon as the new run is known to be possible.'),
    checkpointEvery: option(duration, 300, 'Time between two checkpoints.'),
  }),
  ...engineOptions,
  ...memoryOptions,
}

/** What finetune works with: every option read, checked and filled in; the undefined ones are chosen by the work. */
export type FinetuneOptions = OptionsOf<typeof finetuneOptions>

export const predictOptions = {
  ...group('Images', {
    images: positional(
      required(
        several(text('IMAGES', 'images, a folder of them, a list or a .npz')),
        'Images to predict: files, a folder, a glob, or a manifest (.json, .csv); to classify, a .npz in MedMNIST’s layout, too.',
      ),
    ),
    modality: chosen(
      choice('auto', 'ct', 'mr'),
      'that of the weights',
      'What the intensities mean; auto guesses image by image.',
    ),
  }),
  ...group('Prediction', {
    weights: required(
      several(text('WEIGHTS', 'the folder of a fine-tuning, its best.safetensors, or a .pt made of it')),
      'Fine-tuned weights; of several, the mean of their probabilities is taken.',
    ),
    mirror: option(
      choice('none', 'sides', 'all'),
      'none',
      'Predict every window mirrored, too: left and right, twice the work, or along every axis, eight times.',
    ),
    batch: chosen(
      whole(1, 4096),
      '4; of weights with --norm batch, that of their training',
      'Windows, or images to classify, a run of the network.',
    ),
  }),
  ...group('To segment', {
    overlap: option(decimal(0, 0.9), 0.5, 'Share of a window that the next one covers again.'),
    probabilities: option(flag, false, 'Write the probability of every output, too.'),
    format: option(choice('nifti', 'metaimage'), 'nifti', 'Files: .nii.gz or .mha.'),
  }),
  ...group('To classify', {
    part: chosen(choice('train', 'val', 'test'), 'test', 'Which images of a .npz to classify.'),
    candidates: chosen(
      text('CSV', 'a list with the columns seriesuid, coordX, coordY and coordZ'),
      'none: whole images are classified',
      'Places in the images to classify the surroundings of, for weights that were trained on such.',
    ),
  }),
  ...group('Result', {
    out: required(
      text('DIR', 'a folder for what is predicted'),
      'Folder for a label map of every image, on its own grid; for predictions.csv, and marks.csv of candidates, of weights that classify.',
    ),
    force: option(flag, false, 'Replace predictions that the folder holds.'),
  }),
  ...engineOptions,
}

/** What predict works with. */
export type PredictOptions = OptionsOf<typeof predictOptions>

export const compareOptions = {
  ...finetuneOptions,
  ...group('Comparison', {
    init: required(
      several(text('START', 'scratch, or weights of a pre-training')),
      'The starts to compare: scratch, or weights of a pre-training; the others are held against the first.',
    ),
    runs: option(whole(1, 1000), 10, 'Runs of each start, each with the next seed; 10 as published.'),
    parallel: option(
      whole(1, 256),
      1,
      'Runs at a time, which share the threads: two runs of one thread are done sooner than one run of two, and take twice the memory.',
    ),
    labelFraction: option(
      several(decimal(0, 1, true)),
      [1],
      'Shares of the training cases whose labels are used; several give the annotation-cost curve.',
    ),
    seed: option(whole(0, Number.MAX_SAFE_INTEGER - 1000), 0, 'Seed of the first run, and of the split.'),
  }),
  ...group('Run', {
    out: required(text('DIR', 'a folder for the comparison'), 'Folder of the comparison: its runs, and the tables.'),
    resume: option(flag, false, 'Go on with the comparison that the folder holds.'),
    force: option(flag, false, 'Replace what the folder holds, as soon as the new comparison is known to be possible.'),
  }),
}

/** What compare works with. */
export type CompareOptions = OptionsOf<typeof compareOptions>
