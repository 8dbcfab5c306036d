import type { Patient } from './patient.js'
import { profile, smoothStep } from './shapes.js'

/** Millimetres from the top of the right dome of the diaphragm: levels that the tables reach. */
export const torsoLevels = { low: -320, high: 320 } as const

const step = 8
const levels = (torsoLevels.high - torsoLevels.low) / step + 1
const angles = 128

/** Half extents of a cross-section to the side, the front and the back, in millimetres, by level. */
interface Outline {
  side(z: number): number
  front(z: number): number
  back(z: number): number
}

function outline(...rows: readonly (readonly [z: number, side: number, front: number, back: number])[]): Outline {
  return {
    side: profile(...rows.map(([z, side]) => [z, side] as const)),
    front: profile(...rows.map(([z, , front]) => [z, front] as const)),
    back: profile(...rows.map(([z, , , back]) => [z, back] as const)),
  }
}

/** The inner surface of the wall of chest and belly. */
const cavity = outline(
  [-300, 118, 80, 74],
  [-200, 120, 82, 78],
  [-100, 127, 86, 83],
  [-50, 132, 89, 87],
  [0, 134, 91, 89],
  [50, 131, 90, 91],
  [100, 123, 82, 90],
  [150, 106, 66, 83],
  [190, 84, 45, 71],
  [215, 66, 26, 59],
  [235, 48, 11, 48],
  [300, 42, 8, 44],
)

/** The outer surface of the muscles, with arms raised above the head. */
const muscles = outline(
  [-300, 142, 92, 110],
  [-200, 139, 92, 108],
  [-100, 143, 98, 108],
  [0, 150, 104, 117],
  [60, 155, 106, 123],
  [120, 161, 100, 122],
  [160, 168, 90, 119],
  [190, 174, 76, 112],
  [215, 168, 57, 102],
  [235, 132, 44, 90],
  [260, 88, 42, 80],
  [300, 68, 44, 74],
)

export const skinThickness = 2

/** Distances of one point to the torso's three surfaces, in millimetres, negative inside. */
export interface TorsoDistances {
  wall: number
  muscle: number
  skin: number
}

/**
 * The trunk: three nested surfaces around the body's long axis (inner wall, muscle, skin), each a radius by angle and
 * level. Distances to them are taken along the radius.
 */
export class Torso {
  /** [level][angle][surface], with the first angle repeated at the end. */
  readonly #radii = new Float32Array(levels * (angles + 1) * 3)
  readonly #scratch: TorsoDistances = { wall: 0, muscle: 0, skin: 0 }
  /** The largest radius of the skin. */
  readonly reach: number

  constructor(patient: Patient) {
    let reach = 0
    for (let level = 0; level < levels; level++) {
      const z = torsoLevels.low + level * step
      const depth = 1 + (patient.chestDepth - 1) * smoothStep(-120, 20, z)
      for (let column = 0; column <= angles; column++) {
        const [x, y] = direction((column % angles) * (4 / angles))
        const wall = radius(cavity, z, x, y, depth)
        const full = radius(muscles, z, x, y, depth)
        const muscle = wall + Math.max(6, (full - wall) * patient.muscle)
        const skin = muscle + subcutaneousFat(patient, x, y, z) + skinThickness
        this.#radii.set([wall, muscle, skin], (level * (angles + 1) + column) * 3)
        reach = Math.max(reach, skin)
      }
    }
    this.reach = reach
  }

  /** Distances at a point of the body's frame. The result is overwritten by the next call. */
  at(x: number, y: number, z: number): TorsoDistances {
    const r = Math.sqrt(x * x + y * y)
    const radii = this.#radii
    const row = Math.max(0, Math.min(levels - 1.001, (z - torsoLevels.low) / step))
    const column = pseudoAngle(x, y) * (angles / 4)
    const i = Math.floor(row)
    const j = Math.min(angles - 1, Math.floor(column))
    const a = (i * (angles + 1) + j) * 3
    const b = a + (angles + 1) * 3
    const v = column - j
    const lowerLeft = (1 - (row - i)) * (1 - v)
    const lowerRight = (1 - (row - i)) * v
    const upperLeft = (row - i) * (1 - v)
    const upperRight = (row - i) * v
    const at = this.#scratch
    at.wall =
      r - (radii[a]! * lowerLeft + radii[a + 3]! * lowerRight + radii[b]! * upperLeft + radii[b + 3]! * upperRight)
    at.muscle =
      r -
      (radii[a + 1]! * lowerLeft + radii[a + 4]! * lowerRight + radii[b + 1]! * upperLeft + radii[b + 4]! * upperRight)
    at.skin =
      r -
      (radii[a + 2]! * lowerLeft + radii[a + 5]! * lowerRight + radii[b + 2]! * upperLeft + radii[b + 5]! * upperRight)
    return at
  }

  /** The radius of the inner wall in the direction (x, y), at a level. */
  wallRadius(x: number, y: number, z: number): number {
    return Math.sqrt(x * x + y * y) - this.at(x, y, z).wall
  }

  /** How far the skin reaches to each side, front and back, between two levels. */
  extent(low: number, high: number): { side: number; front: number; back: number } {
    const extent = { side: 0, front: 0, back: 0 }
    const skin = (x: number, y: number, z: number) => Math.sqrt(x * x + y * y) - this.at(x, y, z).skin
    for (let z = low; z <= high; z += step) {
      extent.side = Math.max(extent.side, skin(1, 0, z), skin(-1, 0, z))
      extent.front = Math.max(extent.front, skin(0, -1, z))
      extent.back = Math.max(extent.back, skin(0, 1, z))
    }
    return extent
  }
}

/** An angle without trigonometry: 0 to the left, 1 to the back, 2 to the right, 3 to the front, up to 4. */
function pseudoAngle(x: number, y: number): number {
  const size = Math.abs(x) + Math.abs(y)
  if (size === 0) return 0
  const share = y / size
  return x < 0 ? 2 - share : share < 0 ? 4 + share : share
}

/** A direction with that pseudo-angle, of length 1. */
function direction(angle: number): readonly [number, number] {
  const share = angle <= 1 ? angle : angle <= 3 ? 2 - angle : angle - 4
  const x = (1 - Math.abs(share)) * (angle > 1 && angle < 3 ? -1 : 1)
  const size = Math.hypot(x, share)
  return [x / size, share / size]
}

/** The radius of a superellipse (exponent 2.4) whose front and back halves differ. */
function radius(shape: Outline, z: number, x: number, y: number, depth: number): number {
  const across = Math.abs(x) / shape.side(z)
  const along = Math.abs(y) / ((y < 0 ? shape.front(z) : shape.back(z)) * depth)
  return (across ** 2.4 + along ** 2.4) ** (-1 / 2.4)
}

/** Millimetres between muscle and skin in the direction (x, y): most in front of the belly, least over the spine. */
function subcutaneousFat(patient: Patient, x: number, y: number, z: number): number {
  const belly = 1 - smoothStep(-60, 60, z)
  const front = Math.max(0, -y)
  const side = x * x
  const spine = smoothStep(0.93, 1, y)
  const everywhere = 7 + 6 * belly * front + 4 * belly * side + 3 * Math.max(0, y) - 4 * spine
  // Two mounds left and right of the sternum.
  const height = Math.exp(-(((z - 55) / 48) ** 2))
  const mounds =
    patient.frontFat * height * Math.exp(-(((Math.abs(x) - 0.62) / 0.3) ** 2)) * smoothStep(0.2, 0.6, front)
  return everywhere * patient.fat + mounds
}
