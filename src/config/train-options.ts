import { choice, decimal, duration, flag, text, whole } from './kinds.js'
import { chosen, group, type OptionsOf, option, required } from './options.js'
import { cohortOptions, discoveryOptions, engineOptions, memoryOptions, preparationOptions } from './shared-options.js'

/** What is learnt: the method, its parts, and the baselines that the same machinery runs. */
export const recipeNames = [
  'semantic-genesis',
  'models-genesis',
  'autoencoder',
  'inpainting',
  'outpainting',
  'shuffling',
  'nonlinear',
  'rotation',
  'classification',
] as const
export type RecipeName = (typeof recipeNames)[number]

export const trainOptions = {
  ...cohortOptions,
  ...preparationOptions,
  ...discoveryOptions,
  ...group('Discovery', {
    patterns: chosen(
      text('PATH', 'a patterns.json, the folder of a discovery or one of published pattern arrays'),
      'discovered',
      'Patterns to learn instead of discovering them: a patterns.json or the folder of a discovery, or a folder of published .npy arrays.',
    ),
  }),
  ...group('Network', {
    baseWidth: chosen(whole(1, 1024), 'fitted to the time', 'Channels of the first conv unit; 32 as published.'),
    depth: chosen(whole(2, 7), 'fitted to the patch', 'Levels of resolution; 4 as published.'),
    norm: option(choice('running', 'batch'), 'running', 'Statistics that normalise at inference; batch as published.'),
  }),
  ...group('Training', {
    recipe: option(choice(...recipeNames), 'semantic-genesis', 'What is learnt.'),
    semantics: option(flag, false, 'Add discovered patterns to a baseline: the head names them beside its own task.'),
    perturbation: chosen(
      text('RECIPE', 'a perturbation recipe: its name, or a .json file'),
      'the recipe’s own',
      'What happens to a cube before it is restored: a named recipe, or a .json file that spells one out.',
    ),
    stages: option(
      choice('both', 'joint'),
      'both',
      'Classification alone, then both tasks together; or both from the start.',
    ),
    batch: chosen(whole(1, 65536), 'fitted to the device', 'Cubes a step; 64 as published.'),
    epochs: chosen(
      whole(1, 1_000_000),
      'fitted to the time',
      'Passes over the training cubes, both stages together; each needs one.',
    ),
    maxTime: chosen(duration, 'none', 'Fit the schedule to this much time.'),
    cubes: chosen(
      whole(1, 1_000_000_000),
      'all crops once',
      'Training cubes an epoch; a validation follows each epoch.',
    ),
    validationCubes: chosen(
      whole(1, 1_000_000),
      'fitted to the time',
      'Held-out cubes of a validation, always the same.',
    ),
    learningRate: option(decimal(0, 10, true), 0.001, 'Step size of Adam.'),
    schedule: chosen(
      choice('step', 'cosine', 'polynomial', 'plateau', 'constant'),
      'step as published; cosine under --max-time',
      'How the learning rate falls over a stage.',
    ),
    halveEvery: option(whole(1, 1_000_000), 40, 'Epochs after which the step schedule halves the learning rate.'),
    patience: option(whole(1, 1_000_000), 50, 'Stop after so many epochs without a better validation loss.'),
    restorationWeight: option(decimal(0, 1e6), 1, 'Weight of the restoration error in the loss.'),
    classificationWeight: option(decimal(0, 1e6), 0.01, 'Weight of the classification error in the loss.'),
  }),
  ...group('Run', {
    out: required(
      text('RUN', 'a folder for the run'),
      'Folder of the run: configuration, patterns, checkpoints, report.',
    ),
    resume: option(flag, false, 'Go on where the run in that folder stopped.'),
    force: option(flag, false, 'Replace what the folder holds, as soon as the new run is known to be possible.'),
    checkpointEvery: option(duration, 300, 'Time between two checkpoints.'),
  }),
  ...engineOptions,
  ...memoryOptions,
}

/** What train works with: every option read, checked and filled in; the undefined ones are chosen by the work. */
export type TrainOptions = OptionsOf<typeof trainOptions>

export const discoverOptions = {
  ...cohortOptions,
  ...preparationOptions,
  ...discoveryOptions,
  ...group('Run', {
    out: required(text('RUN', 'a folder for the patterns'), 'Folder for patterns.json and the montages.'),
    maxTime: chosen(duration, 'none', 'Fit the auto-encoder’s training to this much time.'),
    resume: option(flag, false, 'Go on where the discovery in that folder stopped.'),
    force: option(flag, false, 'Replace what the folder holds.'),
  }),
  ...engineOptions,
}

export type DiscoverOptions = OptionsOf<typeof discoverOptions>
