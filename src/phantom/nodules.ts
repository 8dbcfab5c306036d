import { Random } from '../random.js'
import type { Acquisition } from './acquisition.js'
import type { Anatomy } from './anatomy.js'
import type { BodyFrame } from './frame.js'
import type { Patient } from './patient.js'
import type { Solid, Vector } from './shapes.js'
import { labelOf, type Tissue } from './tissues.js'

/** A nodule as it is listed: its middle in LPS+ millimetres, as LUNA16 lists them. */
export interface Nodule {
  readonly centre: Vector
  /** Diameter in millimetres of the sphere of about its volume. */
  readonly diameter: number
  readonly kind: 'solid' | 'ground glass'
}

/** A nodule with its shape, which lies in the world and not in the body's frame, so that its place is exact. */
export interface PlacedNodule extends Nodule {
  readonly tissue: Tissue
  readonly solid: Solid
}

/** Millimetres: LUNA16 lists nodules from 3 mm on, few above 30. */
const diameters = { low: 4, high: 28 } as const

/**
 * Places up to `most` nodules in the lungs, clear of the heart, large vessels and each other; small ones are more
 * frequent. None is smaller than the voxels can show (about two of them).
 */
export function placeNodules(
  patient: Patient,
  anatomy: Anatomy,
  frame: BodyFrame,
  acquisition: Acquisition,
  most: number,
): PlacedNodule[] {
  const random = new Random(patient.seed, 'phantom nodules', patient.index)
  const count = random.integer(0, most + 1)
  const smallest = Math.max(diameters.low, 2.2 * Math.max(...acquisition.spacing))
  const largest = Math.max(diameters.high, smallest)
  const nodules: PlacedNodule[] = []
  // A place that does not suit is drawn again; a patient with no room for all gets fewer.
  for (let tries = 0; nodules.length < count && tries < 400 * count; tries++) {
    const diameter = smallest * (largest / smallest) ** (random.uniform() ** 1.8)
    const radius = diameter / 2
    const lung = anatomy.lungs[random.integer(0, 2)]!
    const { low, high } = lung.box
    const body: Vector = [
      random.uniform(low[0], high[0]),
      random.uniform(low[1], high[1]),
      random.uniform(low[2], high[2]),
    ]
    const draws = Array.from({ length: 7 }, () => random.uniform())
    const { wall } = anatomy.torso.at(...body)
    const inside = lung.distance(...body, wall) < -Math.min(radius * 0.9, 12)
    if (!inside || !clear(anatomy.aroundLungs, body, wall, radius + 2)) continue
    const centre = frame.toWorld(body)
    if (!seen(centre, acquisition, radius)) continue
    if (nodules.some((other) => distance(other.centre, centre) < other.diameter / 2 + radius + 6)) continue
    const kind = draws[0]! < 0.2 && diameter > 8 ? 'ground glass' : 'solid'
    nodules.push({
      centre,
      diameter,
      kind,
      tissue: {
        label: labelOf('nodule'),
        hu: kind === 'solid' ? 20 + 60 * draws[1]! : -640 + 160 * draws[1]!,
        texture: kind === 'solid' ? 6 : 40,
        gravity: 0,
      },
      solid: lobulated(centre, radius, draws),
    })
  }
  return nodules
}

function clear(solids: readonly Solid[], at: Vector, wall: number, margin: number): boolean {
  return solids.every(
    ({ box, distance }) =>
      at.some((value, axis) => value < box.low[axis]! - margin || value > box.high[axis]! + margin) ||
      distance(...at, wall) > margin,
  )
}

/** Whether the whole nodule lies in the scan. */
function seen(at: Vector, { origin, spacing, shape }: Acquisition, radius: number): boolean {
  return at.every((value, axis) => {
    const from = value - origin[axis]!
    return from > radius && from < (shape[axis]! - 1) * spacing[axis]! - radius
  })
}

const distance = (a: Vector, b: Vector): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])

/** A sphere with shallow waves on its surface. */
function lobulated([cx, cy, cz]: Vector, radius: number, draws: readonly number[]): Solid {
  const [, , a, b, c, d, e] = draws as [number, number, number, number, number, number, number]
  const reach = radius * 1.15
  const depth = 0.04 + 0.06 * a
  return {
    box: { low: [cx - reach, cy - reach, cz - reach], high: [cx + reach, cy + reach, cz + reach] },
    distance: (x, y, z) => {
      const dx = x - cx
      const dy = y - cy
      const dz = z - cz
      const r = Math.sqrt(dx * dx + dy * dy + dz * dz)
      if (r < 1e-6) return -radius
      const waves = Math.sin((5 * dx) / r + 6 * b) * Math.sin((4 * dy) / r + 6 * c) * Math.sin((4 * dz) / r + 6 * d + e)
      return r - radius * (1 + depth * waves)
    },
  }
}
