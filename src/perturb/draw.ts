import { SemgenError } from '../errors.js'
import { type Extents, extentsText } from '../extents.js'
import type { Random } from '../random.js'
import type { Recipe, StepOptions } from './recipe.js'

/** A Philox stream that native code reads on its own: the key, and words 1 to 3 of the counter. */
export interface Stream {
  readonly key: readonly [number, number]
  readonly counter: readonly [number, number, number]
}

export interface Block {
  readonly start: Extents
  readonly size: Extents
}

/**
 * One thing that happens to a cube, with everything that was drawn for it. What takes a number a voxel, or thousands of
 * blocks, is left in a stream: the draw stays small, and gives the same bits whenever it is applied.
 */
export type PerturbationStep =
  /** Displacements in x and y: noise smoothed by `sigma` (voxels, x y z), times `alpha` (x, y). */
  | {
      readonly kind: 'elastic'
      readonly sigma: Extents
      readonly alpha: readonly [number, number]
      readonly noise: Stream
    }
  /** `blocks` blocks of 1 to `largest` voxels a side get their values in another order. */
  | { readonly kind: 'shuffling'; readonly blocks: number; readonly largest: Extents; readonly draws: Stream }
  /** Intensities through the Bezier curve of (0,0), (x[0],y[0]), (x[1],y[1]), (1,1); `inverted`: of (0,1), (x[0],y[1]), (x[1],y[0]), (1,0). */
  | {
      readonly kind: 'nonlinear'
      readonly x: readonly [number, number]
      readonly y: readonly [number, number]
      readonly inverted: boolean
    }
  /** Noise in the blocks, or everywhere but in them. */
  | { readonly kind: 'inpainting' | 'outpainting'; readonly blocks: readonly Block[]; readonly noise: Stream }
  /** As numpy.rot90(cube, quarterTurns, (0, 1)). */
  | { readonly kind: 'rotation'; readonly quarterTurns: number }

/** Everything drawn for one cube: plain data, to be kept or replayed. */
export interface Perturbation {
  /** The cube it was drawn for. */
  readonly shape: Extents
  /** Axes to mirror, in the target as well. */
  readonly flips: readonly [boolean, boolean, boolean]
  readonly steps: readonly PerturbationStep[]
}

/** The cube that `unit: 'cube'` scales from. */
const publishedCube: Extents = [64, 64, 32]

/**
 * Draws what a recipe does to one cube of `shape` voxels. The same recipe, shape and state of `random` give the same
 * draw.
 * @throws SemgenError BAD_OPTION when the recipe turns cubes by a quarter and they are not as wide in x as in y.
 */
export function drawPerturbation(recipe: Recipe, random: Random, shape: Extents): Perturbation {
  const flips: [boolean, boolean, boolean] = [false, false, false]
  for (let attempt = 0; attempt < recipe.flip.attempts && random.chance(recipe.flip.probability); attempt++) {
    const axis = random.integer(0, 3)
    flips[axis] = !flips[axis]
  }
  const steps: PerturbationStep[] = []
  for (const { probability, oneOf } of recipe.stages) {
    if (!random.chance(probability)) continue
    let left = random.uniform()
    const choice = oneOf.find(({ share }) => (left -= share) < 0) ?? oneOf.at(-1)!
    steps.push(drawStep(choice.step, random, shape))
  }
  return { shape, flips, steps }
}

/** Quarter turns of a drawn perturbation, 0 to 3: the label of the rotation task. */
export function quarterTurnsOf(perturbation: Perturbation): number {
  let turns = 0
  for (const step of perturbation.steps) if (step.kind === 'rotation') turns += step.quarterTurns
  return turns % 4
}

function drawStep(options: StepOptions, random: Random, shape: Extents): PerturbationStep {
  switch (options.kind) {
    case 'elastic':
      return { kind: 'elastic', ...deformation(options, shape), noise: drawStream(random) }
    case 'shuffling':
      return {
        kind: 'shuffling',
        blocks: options.blocks,
        largest: each(shape, (extent) => Math.max(1, part(extent, options.largest))),
        draws: drawStream(random),
      }
    case 'nonlinear':
      return {
        kind: 'nonlinear',
        x: [random.uniform(), random.uniform()],
        y: [random.uniform(), random.uniform()],
        inverted: random.chance(options.inverted),
      }
    case 'inpainting':
    case 'outpainting':
      return { kind: options.kind, blocks: drawBlocks(options, random, shape), noise: drawStream(random) }
    case 'rotation':
      checkTurns(options, shape)
      return { kind: 'rotation', quarterTurns: random.pick(options.quarterTurns) }
  }
}

/** Before a cube is drawn. @throws SemgenError BAD_OPTION when no cube of `shape` voxels can be turned as the recipe asks */
export function checkPatch(recipe: Recipe, shape: Extents): void {
  for (const { oneOf } of recipe.stages)
    for (const { step } of oneOf) if (step.kind === 'rotation') checkTurns(step, shape)
}

function checkTurns({ quarterTurns }: StepOptions & { kind: 'rotation' }, shape: Extents): void {
  if (shape[0] !== shape[1] && quarterTurns.some((turns) => turns % 2 === 1))
    throw new SemgenError(
      'BAD_OPTION',
      `The rotation recipe turns cubes by quarters in the x-y plane, so a patch must be as wide in x as in y, but it is ${extentsText(shape)}: give a --patch that is.`,
    )
}

/**
 * Sigma and alpha in voxels of this cube. Smoothed white noise has a standard deviation in proportion to the inverse
 * square root of the product of the three sigmas: where these scale with the cube, alpha makes up for it.
 */
function deformation(
  { sigma, alpha, unit }: Extract<StepOptions, { kind: 'elastic' }>,
  shape: Extents,
): { sigma: Extents; alpha: [number, number] } {
  if (unit === 'voxel') return { sigma: [sigma, sigma, sigma], alpha: [alpha, alpha] }
  const scale = each(shape, (extent, axis) => extent / publishedCube[axis]!)
  const strength = alpha * Math.sqrt(scale[0] * scale[1] * scale[2])
  return {
    sigma: each(scale, (factor) => sigma * factor),
    alpha: [strength * scale[0], strength * scale[1]],
  }
}

function drawBlocks(
  options: Extract<StepOptions, { kind: 'inpainting' | 'outpainting' }>,
  random: Random,
  shape: Extents,
): Block[] {
  const blocks: Block[] = []
  do {
    const size = each(shape, (extent) => {
      if (options.kind === 'inpainting') return drawPart(extent, options.side, random)
      return Math.max(1, extent - drawPart(extent, options.shorter, random))
    })
    const start = each(shape, (extent, axis) => {
      const room = extent - size[axis]!
      const margin = Math.min(options.margin, Math.floor(room / 2))
      return random.integer(margin, room - margin + 1)
    })
    blocks.push({ start, size })
  } while (blocks.length < options.blocks && random.chance(options.another))
  return blocks
}

/** A whole number of voxels between two shares of an extent, both ends included; at least one. */
function drawPart(extent: number, [least, most]: readonly [number, number], random: Random): number {
  const low = Math.max(1, part(extent, least))
  return random.integer(low, Math.max(low, part(extent, most)) + 1)
}

/** A share of an extent, rounded down; a share such as 3/7 of 70 is 30, although it is not quite that in binary. */
function part(extent: number, share: number): number {
  return Math.floor(extent * share + 1e-9)
}

function drawStream(random: Random): Stream {
  return {
    key: [random.uint32(), random.uint32()],
    counter: [random.uint32(), random.uint32(), random.uint32()],
  }
}

function each(extents: Extents, value: (extent: number, axis: number) => number): [number, number, number] {
  return [value(extents[0], 0), value(extents[1], 1), value(extents[2], 2)]
}
