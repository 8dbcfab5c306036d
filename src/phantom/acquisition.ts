import type { Extents } from '../extents.js'
import { Random } from '../random.js'
import type { Patient } from './patient.js'
import type { Vector } from './shapes.js'
import { limitedNormal } from './tissues.js'
import type { Torso } from './torso.js'

/** How one patient was scanned: what is seen, in what voxels, how sharply, with how much noise. */
export interface Acquisition {
  readonly shape: Extents
  /** Millimetres between voxels along x (to the left), y (to the back) and z (up). */
  readonly spacing: Vector
  /** The middle of voxel (0, 0, 0) in LPS+ millimetres. */
  readonly origin: Vector
  /** Where the origin of the body's frame lies, in LPS+ millimetres. */
  readonly bodyCentre: Vector
  /** Standard deviation of the point spread function along x, y and z, in millimetres. */
  readonly blur: Vector
  /** Standard deviation of the noise in the middle of the body, in HU. */
  readonly noise: number
  /** Standard deviation of the smoothing that gives noise its grain, in millimetres. */
  readonly grain: Vector
  readonly table: Table
}

/** The couch: a trough of two thin shells with foam between and a mattress on top. */
export interface Table {
  /** The middle of its upper shell. */
  readonly x: number
  readonly y: number
  readonly halfWidth: number
  /** Radius of its bend, in millimetres. */
  readonly bend: number
  readonly depth: number
  readonly mattress: number
}

/**
 * Draws how a patient is scanned.
 * @param shape fixes the number of voxels; their size then follows from the field of view. Without it, voxels measure
 *   2.5 to 3.3 mm, and their number follows
 */
export function drawAcquisition(patient: Patient, torso: Torso, shape?: Extents): Acquisition {
  const random = new Random(patient.seed, 'phantom acquisition', patient.index)
  const [scaleX, scaleY, scaleZ] = patient.scale
  const top = random.uniform(206, 240)
  const bottom = random.uniform(-126, -72)
  const { side, front, back } = torso.extent(bottom, top)
  const marginX = random.uniform(14, 64)
  const marginY = random.uniform(24, 64)
  const field: Vector = [2 * side * scaleX + marginX, (front + back) * scaleY + marginY, (top - bottom) * scaleZ]
  const inPlane = random.uniform(2.5, 3.05)
  const through = random.uniform(2.6, 3.3)
  const voxels: Extents = shape ?? [
    Math.round(field[0] / inPlane),
    Math.round(field[1] / inPlane),
    Math.round(field[2] / through),
  ]
  const spacing: Vector = shape
    ? [rounded(field[0] / shape[0]), rounded(field[1] / shape[1]), rounded(field[2] / shape[2])]
    : [rounded(inPlane), rounded(inPlane), rounded(through)]
  const extent = voxels.map((count, axis) => (count - 1) * spacing[axis]!) as unknown as Vector
  const origin: Vector = [
    rounded(-extent[0] / 2 + 6 * limitedNormal(random)),
    rounded(-extent[1] / 2 + 14 * limitedNormal(random)),
    rounded(random.uniform(-900, -150)),
  ]
  // Off the middle, but never out of the field of view.
  const offX = random.uniform(-0.5, 0.5) * (marginX - 8)
  const offY = random.uniform(-0.8, 0.2) * (marginY / 2 - 4)
  const bodyCentre: Vector = [
    origin[0] + extent[0] / 2 + offX,
    origin[1] + extent[1] / 2 + ((front - back) / 2) * scaleY + offY,
    origin[2] - bottom * scaleZ,
  ]
  const sharpness = random.uniform(0.55, 0.95)
  const blur = spacing.map((size, axis) => Math.hypot(axis === 2 ? 0.9 : sharpness, 0.3 * size)) as unknown as Vector
  const grain = spacing.map((size, axis) => Math.hypot(axis === 2 ? 0.6 : sharpness * 0.9, 0.3 * size))
  // Fewer quanta reach small voxels, and few get through a large body.
  const volume = spacing[0] * spacing[1] * spacing[2]
  const size = Math.sqrt(side * scaleX * ((front + back) / 2) * scaleY)
  const dose = Math.exp(0.3 * limitedNormal(random))
  const quanta = dose * Math.max(0.08, Math.min(2, volume / 22)) * Math.exp(-(size - 150) / 45)
  const tableX = bodyCentre[0] - offX * 0.6
  return {
    shape: voxels,
    spacing,
    origin,
    bodyCentre,
    blur,
    noise: Math.max(5, Math.min(60, 13 / Math.sqrt(quanta))),
    grain: grain as unknown as Vector,
    table: {
      x: tableX,
      y: bodyCentre[1] + back * scaleY + random.uniform(10, 22),
      halfWidth: random.uniform(190, 220),
      bend: random.uniform(700, 1600),
      depth: random.uniform(28, 45),
      mattress: random.uniform(4, 9),
    },
  }
}

/** To a ten-thousandth of a millimetre, exact in the float32 of a header to the last digit shown. */
function rounded(millimetres: number): number {
  return Math.round(millimetres * 1e4) / 1e4
}

const air = -1000

/** HU of air and table at a place outside of the body; shells thinner than a voxel count for their share of it. */
export function surroundings(table: Table, x: number, y: number, voxel: number): number {
  const aside = x - table.x
  if (Math.abs(aside) > table.halfWidth) return air
  const depth = y - table.y + (aside * aside) / (2 * table.bend)
  if (depth < -table.mattress || depth > table.depth) return air
  const shell = 1.6
  const toShell = Math.min(Math.abs(depth), Math.abs(depth - table.depth + shell))
  const share = Math.max(0, Math.min(1, 0.5 - (toShell - shell / 2) / voxel)) * Math.min(1, shell / voxel)
  const filling = depth < 0 ? -955 : -965
  return filling + (-80 - filling) * share
}

/** Voxel indices -> RAS+ millimetres, row by row: x and y run to the left and back, as in most CT files. */
export function affineOf({ spacing, origin }: Acquisition): number[] {
  return [-spacing[0], 0, 0, -origin[0], 0, -spacing[1], 0, -origin[1], 0, 0, spacing[2], origin[2], 0, 0, 0, 1]
}
