import { type Patient, Variation } from './patient.js'
import { type Distance, type Solid, smoothStep } from './shapes.js'
import { torsoLevels } from './torso.js'

/** One dome of the diaphragm. */
interface Dome {
  readonly x: number
  readonly y: number
  readonly top: number
}

/**
 * The lungs and what bounds them: the wall of the chest, the diaphragm's two domes below, the mediastinum between. The
 * heart and large vessels are painted over the lungs, so they bound them, too.
 */
export class Chest {
  readonly #right: Dome
  readonly #left: Dome
  /** Half widths of the mediastinum relative to the reference. */
  readonly #width: number
  /** Where the mediastinum's middle is, in millimetres to the left. */
  readonly #middle: number
  readonly #apex: number

  constructor(patient: Patient) {
    const vary = new Variation(patient, 'chest')
    this.#right = { x: -62 + vary.by(3), y: -8 + vary.by(4), top: patient.breath + vary.by(3) }
    this.#left = { x: 66 + vary.by(3), y: -6 + vary.by(4), top: patient.breath - 14 + vary.by(4) }
    this.#width = 1 + vary.by(0.07)
    this.#middle = vary.by(2.5)
    this.#apex = 226 + vary.by(4)
  }

  /** Distance to the space above the diaphragm: negative above it. */
  readonly aboveDiaphragm: Distance = (x, y, z) => {
    const right = domeDistance(this.#right, x, y, z, 1)
    const left = domeDistance(this.#left, x, y, z, -1)
    return Math.max(right, left)
  }

  /** Distance to the space below the diaphragm. */
  readonly belowDiaphragm: Distance = (x, y, z, wall) => -this.aboveDiaphragm(x, y, z, wall)

  /** Distance to the two lungs with all that lies in them; the right one is where x is below `middle`. */
  readonly lungs: Distance = (x, y, z, wall) => {
    const aside = Math.abs(x - this.#middle)
    const between = this.#mediastinum(y, z) - aside
    const dx = aside - 46
    const dy = y - 24
    // The apices are domes.
    const above = (z - this.#apex + 0.016 * dx * dx + 0.011 * dy * dy) * 0.75
    let distance = wall + 1.5
    if (between > distance) distance = between
    if (above > distance) distance = above
    // Far outside already: the diaphragm cannot matter.
    return distance > 30 ? distance : Math.max(distance, this.aboveDiaphragm(x, y, z, wall))
  }

  get middle(): number {
    return this.#middle
  }

  /** Half the width of what lies between the lungs: narrow behind the sternum, wide at the roots and at the spine. */
  #mediastinum(y: number, z: number): number {
    const roots = 19 * Math.exp(-(((y + 6) / 36) ** 2))
    const spine = 11 * smoothStep(30, 56, y)
    const neck = 12 * smoothStep(185, 225, z)
    return (10 + roots + spine + neck) * this.#width
  }

  /** A lung: right or left. */
  lung(side: 'right' | 'left'): Solid {
    const out = side === 'right' ? -1 : 1
    const middle = this.#middle
    const [near, far] = [middle, out * 170]
    return {
      box: {
        low: [Math.min(near, far), -115, -130],
        high: [Math.max(near, far), 120, this.#apex + 6],
      },
      distance: (x, y, z, wall) => Math.max(this.lungs(x, y, z, wall), (middle - x) * out),
    }
  }

  /** All that lies below the diaphragm, inside the wall. */
  belly(): Solid {
    return {
      box: { low: [-170, -125, torsoLevels.low], high: [170, 130, 30] },
      distance: (x, y, z, wall) => Math.max(wall, this.belowDiaphragm(x, y, z, wall)),
    }
  }

  /** The diaphragm's muscle. */
  diaphragm(): Solid {
    return {
      box: { low: [-170, -125, -130], high: [170, 130, 30] },
      distance: (x, y, z, wall) => Math.max(wall, Math.abs(this.aboveDiaphragm(x, y, z, wall) - 1) - 1.2),
    }
  }
}

/**
 * Distance below one dome (negative above it): a paraboloid, steep to the wall and back, flat to the middle and front.
 * @param inward the sign of x towards the middle of the body
 */
function domeDistance(dome: Dome, x: number, y: number, z: number, inward: number): number {
  const dx = x - dome.x
  const dy = y - dome.y
  const bendX = dx * inward > 0 ? 0.0035 : 0.0115
  const bendY = dy > 0 ? 0.0095 : 0.0058
  const height = dome.top - bendX * dx * dx - bendY * dy * dy
  const slopeX = 2 * bendX * dx
  const slopeY = 2 * bendY * dy
  return (height - z) / Math.sqrt(1 + slopeX * slopeX + slopeY * slopeY)
}
