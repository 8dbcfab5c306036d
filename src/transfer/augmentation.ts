import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import type { Random } from '../random.js'
import type { Place } from './patches.js'

export type Augmentation = 'sides' | 'flips' | 'rotations' | 'scaling' | 'shifts' | 'intensity'

/** How often each augmentation happens to a patch, and how far it goes: after nnU-Net's (Isensee et al. 2021), milder. */
const drawn = {
  /** Left and right; or for each axis. */
  flips: { chance: 0.5 },
  /** Radians about each axis. */
  rotations: { chance: 0.3, most: Math.PI / 12 },
  scaling: { chance: 0.3, most: 1.2 },
  /** Parts of the patch, along each axis. */
  shifts: { chance: 0.5, most: 1 / 16 },
  intensity: { chance: 0.5, gain: 0.25, offset: 0.1 },
}

/**
 * What --augment asks for, by the task where it is not given. Patches of a segmentation lie anywhere as it is: there is
 * nothing to shift.
 * @throws SemgenError BAD_OPTION
 */
export function chosenAugmentations(
  task: 'segment' | 'classify',
  asked: readonly (Augmentation | 'none')[] | undefined,
): readonly Augmentation[] {
  if (!asked) return ['rotations', 'scaling', ...(task === 'classify' ? (['shifts'] as const) : []), 'intensity']
  if (asked.includes('none') && asked.length > 1)
    throw new SemgenError('BAD_OPTION', '--augment takes none, or what is to happen, and not both.')
  if (task === 'segment' && asked.includes('shifts'))
    throw new SemgenError(
      'BAD_OPTION',
      '--augment shifts is for --task classify: patches of a segmentation are cut anywhere in the image.',
    )
  return asked.filter((name) => name !== 'none')
}

/** The draw of an intensity's change: v becomes gain * v + offset. */
export function drawShades(
  augment: readonly Augmentation[],
  random: Random,
): { readonly gain: number; readonly offset: number } {
  const { chance, gain, offset } = drawn.intensity
  if (!augment.includes('intensity') || !random.chance(chance)) return { gain: 1, offset: 0 }
  return { gain: random.uniform(1 - gain, 1 + gain), offset: random.uniform(-offset, offset) }
}

/** How far a patch is moved along each axis, in voxels. */
export function drawShift(augment: readonly Augmentation[], patch: Extents, random: Random): Extents {
  const { chance, most } = drawn.shifts
  if (!augment.includes('shifts') || !random.chance(chance)) return [0, 0, 0]
  return patch.map((extent) => extent * random.uniform(-most, most)) as unknown as Extents
}

/**
 * The draw of a patch about a middle: mirrored, turned, scaled. Turned in millimetres, so that what is round stays round
 * where voxels are not cubes.
 * @param middle voxel of the scan that the patch's middle comes from; it need not be whole
 * @param spacing millimetres of the scan's voxels
 */
export function drawPlace(
  augment: readonly Augmentation[],
  patch: Extents,
  middle: Extents,
  spacing: Extents,
  random: Random,
): Place {
  const does = (name: 'rotations' | 'scaling') => augment.includes(name) && random.chance(drawn[name].chance)
  const flips = (axis: number) => augment.includes('flips') || (axis === 0 && augment.includes('sides'))
  const signs = patch.map((_, axis) => (flips(axis) && random.chance(drawn.flips.chance) ? -1 : 1))
  const { most } = drawn.rotations
  const angles = does('rotations') ? patch.map(() => random.uniform(-most, most)) : [0, 0, 0]
  const scale = does('scaling') ? drawn.scaling.most ** random.uniform(-1, 1) : 1
  const turn = rotation(angles as [number, number, number])
  const linear = [0, 1, 2].map((row) =>
    [0, 1, 2].map((column) => (turn[row]![column]! * spacing[column]! * scale * signs[column]!) / spacing[row]!),
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
