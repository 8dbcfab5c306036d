import { choice, extents, flag, several, whole } from './kinds.js'
import { chosen, group, type OptionsOf, option } from './options.js'
import { engineOptions } from './shared-options.js'
import { recipeNames } from './train-options.js'

/** What a training step would need. */
export const planOptions = {
  ...group('Network', {
    recipe: option(choice(...recipeNames), 'semantic-genesis', 'What is to be learnt.'),
    baseWidth: option(whole(1, 1024), 32, 'Channels of the first conv unit; 32 as published.'),
    depth: option(whole(2, 7), 4, 'Levels of resolution; 4 as published.'),
    patch: option(extents(4, 512), [64, 64, 32], 'Voxels of the network’s input; 64x64x32 as published.'),
    classes: option(whole(2, 100_000), 44, 'Patterns to name; 44 as published.'),
  }),
  ...group('Step', {
    batch: option(several(whole(1, 65536)), [64], 'Cubes a step; several are compared.'),
    recompute: chosen(
      several(whole(0, 7)),
      'none, and each level more',
      'Levels, the finest first, whose activations are computed again for the gradient.',
    ),
    json: option(flag, false, 'Print JSON for programs.'),
  }),
  ...engineOptions,
}

export type PlanOptions = OptionsOf<typeof planOptions>
