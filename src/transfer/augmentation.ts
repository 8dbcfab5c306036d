import type { FinetuneOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import type { Random } from '../random.js'
import type { Place } from './patches.js'

export type Augmentation = 'sides' | 'flips' | 'rotations' | 'scaling' | 'shifts' | 'intensity'

export type AugmentationStrength = 'mild' | 'strong'

/** What happens to training patches, and how far it goes. */
export interface Augmentations {
  readonly kinds: readonly Augmentation[]
  readonly strength: AugmentationStrength
}

/** How often each augmentation happens to a patch, and how far it goes: after nnU-Net's (Isensee et al. 2021). */
const drawn = {
  /** Left and right; or for each axis. */
  flips: { chance: 0.5 },
  /** Parts of the patch, along each axis. */
  shifts: { chance: 0.5, most: 1 / 16 },
  /** Rotations in radians about each axis; scaling by one factor, or by one for each axis. */
  mild: {
    rotations: { chance: 0.3, most: Math.PI / 12 },
    scaling: { chance: 0.3, most: 1.2, eachAxis: false },
    intensity: { chance: 0.5, gain: 0.25, offset: 0.1 },
  },
  strong: {
    rotations: { chance: 0.5, most: Math.PI / 8 },
    scaling: { chance: 0.6, most: 1.25, eachAxis: true },
    intensity: { chance: 0.7, gain: 0.35, offset: 0.15 },
  },
}

/**
 * What --augment asks for, by the task where it is not given. Patches of a segmentation lie anywhere as it is: there is
 * nothing to shift.
 * @throws SemgenError BAD_OPTION
 */
export function chosenAugmentations(
  task: 'segment' | 'classify',
  { augment: asked, augmentStrength: strength }: Pick<FinetuneOptions, 'augment' | 'augmentStrength'>,
): Augmentations {
  const shifts = task === 'classify' ? (['shifts'] as const) : []
  if (!asked) return { kinds: ['rotations', 'scaling', ...shifts, 'intensity'], strength }
  if (asked.includes('none') && asked.length > 1)
    throw new SemgenError('BAD_OPTION', '--augment takes none, or what is to happen, and not both.')
  if (task === 'segment' && asked.includes('shifts'))
    throw new SemgenError(
      'BAD_OPTION',
      '--augment shifts is for --task classify: patches of a segmentation are cut anywhere in the image.',
    )
  return { kinds: asked.filter((name) => name !== 'none'), strength }
}

/** The draw of an intensity's change: v becomes gain * v + offset. */
export function drawShades(
  { kinds, strength }: Augmentations,
  random: Random,
): { readonly gain: number; readonly offset: number } {
  const { chance, gain, offset } = drawn[strength].intensity
  if (!kinds.includes('intensity') || !random.chance(chance)) return { gain: 1, offset: 0 }
  return { gain: random.uniform(1 - gain, 1 + gain), offset: random.uniform(-offset, offset) }
}

/** How far a patch is moved along each axis, in voxels. */
export function drawShift({ kinds }: Augmentations, patch: Extents, random: Random): Extents {
  const { chance, most } = drawn.shifts
  if (!kinds.includes('shifts') || !random.chance(chance)) return [0, 0, 0]
  return patch.map((extent) => extent * random.uniform(-most, most)) as unknown as Extents
}

/**
 * The draw of a patch about a middle: mirrored, turned, scaled. Turned in millimetres, so that what is round stays round
 * where voxels are not cubes.
 * @param middle voxel of the scan that the patch's middle comes from; it need not be whole
 * @param spacing millimetres of the scan's voxels
 */
export function drawPlace(
  { kinds, strength }: Augmentations,
  patch: Extents,
  middle: Extents,
  spacing: Extents,
  random: Random,
): Place {
  const { rotations, scaling } = drawn[strength]
  const flips = (axis: number) => kinds.includes('flips') || (axis === 0 && kinds.includes('sides'))
  const signs = patch.map((_, axis) => (flips(axis) && random.chance(drawn.flips.chance) ? -1 : 1))
  const turned = kinds.includes('rotations') && random.chance(rotations.chance)
  const angles = turned ? patch.map(() => random.uniform(-rotations.most, rotations.most)) : [0, 0, 0]
  const scaled = kinds.includes('scaling') && random.chance(scaling.chance)
  const factor = () => (scaled ? scaling.most ** random.uniform(-1, 1) : 1)
  const all = factor()
  const scales = scaling.eachAxis ? [all, factor(), factor()] : [all, all, all]
  const turn = rotation(angles as [number, number, number])
  const linear = [0, 1, 2].map((row) =>
    [0, 1, 2].map(
      (column) => (turn[row]![column]! * spacing[column]! * scales[column]! * signs[column]!) / spacing[row]!,
    ),
  )
  return placeOf(linear, patch, middle)
}

/** A patch about a middle, mirrored along the axes whose sign is negative. */
export const mirroredAbout = (patch: Extents, middle: Extents, signs: readonly number[] = [1, 1, 1]): Place =>
  placeOf(
    [0, 1, 2].map((row) => [0, 1, 2].map((column) => (row === column ? signs[row]! : 0))),
    patch,
    middle,
  )

function placeOf(linear: readonly (readonly number[])[], patch: Extents, middle: Extents): Place {
  return linear.flatMap((row, axis) => {
    const shift = row.reduce((sum, value, column) => sum - (value * (patch[column]! - 1)) / 2, middle[axis]!)
    return [...row, shift]
  })
}

type Matrix = readonly [readonly number[], readonly number[], readonly number[]]

/** Rotations about x, then y, then z. */
function rotation([a, b, c]: readonly [number, number, number]): Matrix {
  const [ca, sa, cb, sb, cc, sc] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), Math.cos(c), Math.sin(c)]
  return [
    [cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa],
    [sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa],
    [-sb, cb * sa, cb * ca],
  ]
}
