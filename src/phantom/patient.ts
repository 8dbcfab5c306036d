import { Random } from '../random.js'
import { add, ellipsoid, type Solid, type Vector } from './shapes.js'
import { drawTissues, limitedNormal, type Phase, type Tissues } from './tissues.js'

/** What makes one patient's body differ from the reference body, whose geometry is written down in this room. */
export interface Patient {
  readonly seed: number
  /** 1 for PH_0001. */
  readonly index: number
  /** Size along x, y and z relative to the reference body. */
  readonly scale: Vector
  /** Fat under the skin relative to the reference, about 0.4 (lean) to 2.4 (obese). */
  readonly fat: number
  /** Thickness of muscles relative to the reference. */
  readonly muscle: number
  /** Depth of the chest relative to the reference, in addition to `scale`. */
  readonly chestDepth: number
  /** Further fat in front of the chest, in millimetres. */
  readonly frontFat: number
  /** Millimetres by which breath moves the diaphragm up (expiration) or down. */
  readonly breath: number
  /** Degrees about the long axis: nobody lies quite straight. */
  readonly turn: number
  readonly phase: Phase
  readonly tissues: Tissues
}

/** Draws patient `index` of the cohort of `seed`. It depends on nothing else, so a larger cohort begins with a smaller. */
export function drawPatient(seed: number, index: number): Patient {
  const random = new Random(seed, 'phantom patient', index)
  const vary = (deviation: number): number => deviation * limitedNormal(random)
  const size = vary(0.035)
  const phase = random.chance(0.4) ? 'venous' : 'native'
  return {
    seed,
    index,
    scale: [1 + size + vary(0.03), 1 + size + vary(0.035), 1 + size + vary(0.03)],
    fat: Math.exp(vary(0.42)),
    muscle: 1 + vary(0.1),
    chestDepth: 1 + vary(0.04),
    frontFat: Math.max(0, vary(9)),
    breath: vary(7),
    turn: vary(2.5),
    phase,
    tissues: drawTissues(random, phase),
  }
}

/** Draws of one organ, from a stream of its own: adding an organ changes no other. */
export class Variation {
  readonly #random: Random

  constructor(patient: Patient, organ: string) {
    this.#random = new Random(patient.seed, `phantom ${organ}`, patient.index)
  }

  /** Normal with this standard deviation, at most two of them from zero. */
  by(deviation: number): number {
    return deviation * limitedNormal(this.#random)
  }

  /** A shift in millimetres. */
  shift(deviation: number): Vector {
    return [this.by(deviation), this.by(deviation), this.by(deviation)]
  }

  chance(p: number): boolean {
    return this.#random.chance(p)
  }

  /** An ellipsoid at about this place, of about this size and direction: a few millimetres, per cent and degrees off. */
  ellipsoid(centre: Vector, axes: Vector, degrees: Vector = [0, 0, 0], shift = 4): Solid {
    const size = this.by(0.05)
    const stretch = (axis: number): number => axis * (1 + size + this.by(0.035))
    return ellipsoid(
      add(centre, this.shift(shift)),
      [stretch(axes[0]), stretch(axes[1]), stretch(axes[2])],
      add(degrees, this.shift(4)),
    )
  }
}
