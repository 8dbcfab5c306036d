import { z } from 'zod'
import { SemgenError, shown } from '../errors.js'

/*
 * What may happen to a cube, with which probability, and every number of it. A recipe is plain data: it is written to a
 * run's configuration and can be edited there. Sources: Semantic Genesis (Haghighi et al., MICCAI 2020) for `official`,
 * Models Genesis (Zhou et al., Medical Image Analysis 67, 2021) for `models-genesis`.
 */

const probability = z.number().min(0).max(1)
const share = z.number().min(0).max(1)
const interval = z
  .tuple([share, share])
  .refine(([least, most]) => least <= most, { message: 'the lower end must not exceed the upper end' })
const margin = z.int().min(0).max(4096).default(3)

const elastic = z.strictObject({
  kind: z.literal('elastic'),
  /** Standard deviation of the Gaussian that smooths the noise, in all three directions. */
  sigma: z.number().min(0).max(256).default(8),
  /** Factor of the smoothed noise. With sigma 8, 991 gives displacements of about 4 voxels (standard deviation). */
  alpha: z.number().min(0).max(1e5).default(991),
  /**
   * What sigma and alpha count. `voxel`: voxels of the cube the network sees, whatever its size, as in the published
   * code; a cube half as wide is then deformed twice as much for its size. `cube`: the numbers are those for a
   * 64 x 64 x 32 cube, and are scaled so that a cube of another size is deformed alike.
   */
  unit: z.enum(['voxel', 'cube']).default('voxel'),
})

const shuffling = z.strictObject({
  kind: z.literal('shuffling'),
  /** Blocks whose voxels are shuffled. They may overlap. */
  blocks: z.int().min(0).max(1_000_000).default(10_000),
  /** The longest side of a block, as a share of the cube's; at least one voxel. */
  largest: share.default(0.1),
})

const nonlinear = z.strictObject({
  kind: z.literal('nonlinear'),
  /** Probability that the curve falls instead of rising. */
  inverted: probability.default(0.5),
})

const inpainting = z.strictObject({
  kind: z.literal('inpainting'),
  /** Most blocks that are filled with noise; the first always is. */
  blocks: z.int().min(1).max(1000).default(1),
  /** Probability of each further block, asked for after the one before it was taken. */
  another: probability.default(0.95),
  /** Sides of a block, as shares of the cube's. */
  side: interval.default([1 / 6, 1 / 3]),
  /** Voxels between a block and the cube's border, fewer where the block leaves no room. */
  margin,
})

const outpainting = z.strictObject({
  kind: z.literal('outpainting'),
  /** Most blocks that are kept; the first always is. Several overlap to a window of a freer form. */
  blocks: z.int().min(1).max(1000).default(1),
  another: probability.default(0.95),
  /** How much shorter than the cube a kept block is on each axis, as shares of the cube's sides. */
  shorter: interval.default([3 / 7, 4 / 7]),
  margin,
})

const rotation = z.strictObject({
  kind: z.literal('rotation'),
  /** Quarter turns in the x-y plane to choose from, with equal probability. How many it was is the label. */
  quarterTurns: z.array(z.int().min(0).max(3)).min(1).max(4).default([0, 1, 2, 3]),
})

const stepOptions = z.discriminatedUnion('kind', [elastic, shuffling, nonlinear, inpainting, outpainting, rotation])

const stage = z.strictObject({
  /** Probability that anything of this stage happens. */
  probability: probability.default(1),
  /** Exactly one of these then happens, each with its share; the shares add up to 1. */
  oneOf: z
    .array(z.strictObject({ share, step: stepOptions }))
    .min(1)
    .refine((choices) => Math.abs(choices.reduce((sum, choice) => sum + choice.share, 0) - 1) < 1e-6, {
      message: 'the shares must add up to 1',
    }),
})

/** A recipe spelled out, as a file gives it. */
export const recipeSchema = z.strictObject({
  name: z.string().min(1).max(100),
  /**
   * Mirroring, of the target as well: it is no damage to be repaired. `attempts` times an axis is picked and flipped,
   * each with this probability, until one is not.
   */
  flip: z
    .strictObject({ probability, attempts: z.int().min(0).max(100).default(3) })
    .default({ probability: 0, attempts: 3 }),
  /** What is done to the cube that is to be restored, in this order. */
  stages: z.array(stage).max(100),
})

export type Recipe = z.infer<typeof recipeSchema>
export type StepOptions = z.infer<typeof stepOptions>

/** Elastic deformation always, then exactly one of the four others, each with probability 0.25. No flips. */
export const officialRecipe: Recipe = recipeSchema.parse({
  name: 'official',
  stages: [
    always({ kind: 'elastic' }),
    {
      oneOf: [
        { share: 0.25, step: { kind: 'shuffling', blocks: 5 } },
        { share: 0.25, step: { kind: 'nonlinear' } },
        { share: 0.25, step: { kind: 'inpainting' } },
        { share: 0.25, step: { kind: 'outpainting' } },
      ],
    },
  ],
})

/** Flip 0.4, local shuffling 0.5, non-linear 0.9, painting 0.9: of it 0.8 outer, 0.2 inner. */
export const modelsGenesisRecipe: Recipe = recipeSchema.parse({
  name: 'models-genesis',
  flip: { probability: 0.4 },
  stages: [
    { probability: 0.5, oneOf: [{ share: 1, step: { kind: 'shuffling' } }] },
    { probability: 0.9, oneOf: [{ share: 1, step: { kind: 'nonlinear' } }] },
    {
      probability: 0.9,
      oneOf: [
        { share: 0.8, step: { kind: 'outpainting', blocks: 5 } },
        { share: 0.2, step: { kind: 'inpainting', blocks: 5 } },
      ],
    },
  ],
})

/** The recipes that have a name. Those of a single task serve the baselines: `none` is the auto-encoder's. */
export const namedRecipes = {
  official: officialRecipe,
  'models-genesis': modelsGenesisRecipe,
  none: recipeSchema.parse({ name: 'none', stages: [] }),
  elastic: single('elastic', { kind: 'elastic' }),
  shuffling: single('shuffling', { kind: 'shuffling' }),
  nonlinear: single('nonlinear', { kind: 'nonlinear' }),
  inpainting: single('inpainting', { kind: 'inpainting', blocks: 5 }),
  outpainting: single('outpainting', { kind: 'outpainting', blocks: 5 }),
  rotation: single('rotation', { kind: 'rotation' }),
} satisfies Record<string, Recipe>

export type RecipeName = keyof typeof namedRecipes

/**
 * A recipe from a configuration: one of the names of `namedRecipes`, or an object that spells one out. What an object
 * leaves out takes its default.
 * @throws SemgenError BAD_OPTION that names the entry which cannot be used.
 */
export function parseRecipe(value: unknown): Recipe {
  if (typeof value === 'string') {
    const known = Object.entries(namedRecipes).find(([name]) => name === value)
    if (known) return known[1]
    throw new SemgenError(
      'BAD_OPTION',
      `There is no perturbation recipe ${shown(value)}; there are ${Object.keys(namedRecipes).join(', ')}.`,
    )
  }
  const parsed = recipeSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]!
  throw new SemgenError(
    'BAD_OPTION',
    `The perturbation recipe cannot be used: ${['recipe', ...path].join('.')}: ${message}.`,
  )
}

function always(step: z.input<typeof stepOptions>): z.input<typeof stage> {
  return { oneOf: [{ share: 1, step }] }
}

function single(name: string, step: z.input<typeof stepOptions>): Recipe {
  return recipeSchema.parse({ name, stages: [always(step)] })
}
