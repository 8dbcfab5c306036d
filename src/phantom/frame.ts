import { Random } from '../random.js'
import type { Patient } from './patient.js'
import type { Vector } from './shapes.js'

/** Millimetres between the nodes of the bending field, and its standard deviation at each of them. */
const spacing = 68
const deviation = 6.5
/** Nodes along x, y and z: they reach 408 mm to each side, and 340 mm to front and back. */
const nodes: Vector = [15, 13, 17]

/**
 * Where a patient's body lies in the world. The body's frame is the reference body's: each patient is that body, scaled,
 * turned, and bent by a smooth random field (a cubic B-spline) of about 2.5 mm along each axis.
 */
export class BodyFrame {
  readonly #centre: Vector
  readonly #perScale: Vector
  readonly #scale: Vector
  readonly #cos: number
  readonly #sin: number
  /** [x][y][z][axis] */
  readonly #field: Float32Array
  readonly #weights = new Float64Array(12)
  readonly #bend = new Float64Array(3)

  /** @param centre where the origin of the body's frame lies in the world (LPS+ millimetres) */
  constructor(patient: Patient, centre: Vector) {
    this.#centre = centre
    this.#scale = patient.scale
    this.#perScale = [1 / patient.scale[0], 1 / patient.scale[1], 1 / patient.scale[2]]
    this.#cos = Math.cos((patient.turn * Math.PI) / 180)
    this.#sin = Math.sin((patient.turn * Math.PI) / 180)
    const random = new Random(patient.seed, 'phantom bending', patient.index)
    this.#field = Float32Array.from({ length: nodes[0] * nodes[1] * nodes[2] * 3 }, () => deviation * random.normal())
  }

  /** World to body, without bending. */
  straight(world: Vector): Vector {
    const [dx, dy, dz] = [world[0] - this.#centre[0], world[1] - this.#centre[1], world[2] - this.#centre[2]]
    return [
      (this.#cos * dx + this.#sin * dy) * this.#perScale[0],
      (this.#cos * dy - this.#sin * dx) * this.#perScale[1],
      dz * this.#perScale[2],
    ]
  }

  /** What bending adds to a body coordinate, at a place in the world, written to `into` from `offset` on. */
  bend(x: number, y: number, z: number, into: Float32Array | Float64Array, offset = 0): void {
    const field = this.#field
    const weights = this.#weights
    const startX = place(x - this.#centre[0], nodes[0], weights, 0)
    const startY = place(y - this.#centre[1], nodes[1], weights, 4)
    const startZ = place(z - this.#centre[2], nodes[2], weights, 8)
    let sumX = 0
    let sumY = 0
    let sumZ = 0
    for (let a = 0; a < 4; a++)
      for (let b = 0; b < 4; b++) {
        const across = weights[a]! * weights[4 + b]!
        const row = (((startX + a) * nodes[1] + startY + b) * nodes[2] + startZ) * 3
        for (let c = 0; c < 4; c++) {
          const weight = across * weights[8 + c]!
          sumX += weight * field[row + c * 3]!
          sumY += weight * field[row + c * 3 + 1]!
          sumZ += weight * field[row + c * 3 + 2]!
        }
      }
    into[offset] = sumX
    into[offset + 1] = sumY
    into[offset + 2] = sumZ
  }

  toBody(world: Vector): Vector {
    const straight = this.straight(world)
    this.bend(world[0], world[1], world[2], this.#bend)
    return [straight[0] + this.#bend[0]!, straight[1] + this.#bend[1]!, straight[2] + this.#bend[2]!]
  }

  /** Body to world, by iteration: bending is slight, so each round leaves a tenth of the error. */
  toWorld(body: Vector): Vector {
    const bend = this.#bend.fill(0)
    let [x, y, z] = [0, 0, 0]
    for (let round = 0; round < 4; round++) {
      if (round > 0) this.bend(x, y, z, bend)
      const u = (body[0] - bend[0]!) * this.#scale[0]
      const v = (body[1] - bend[1]!) * this.#scale[1]
      x = this.#centre[0] + this.#cos * u - this.#sin * v
      y = this.#centre[1] + this.#sin * u + this.#cos * v
      z = this.#centre[2] + (body[2] - bend[2]!) * this.#scale[2]
    }
    return [x, y, z]
  }
}

/** Finds the first of the four nodes around a place along one axis, and writes their weights (uniform cubic B-spline). */
function place(fromCentre: number, count: number, weights: Float64Array, offset: number): number {
  const at = Math.max(1, Math.min(count - 2.001, fromCentre / spacing + (count - 1) / 2))
  const t = at - Math.floor(at)
  const s = 1 - t
  weights[offset] = (s * s * s) / 6
  weights[offset + 1] = (3 * t * t * t - 6 * t * t + 4) / 6
  weights[offset + 2] = (3 * s * s * s - 6 * s * s + 4) / 6
  weights[offset + 3] = (t * t * t) / 6
  return Math.floor(at) - 1
}
