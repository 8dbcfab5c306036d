import { setImmediate } from 'node:timers/promises'
import { type Extents, voxelCount } from '../extents.js'
import { type Acquisition, affineOf, drawAcquisition } from './acquisition.js'
import { type Anatomy, buildAnatomy } from './anatomy.js'
import { BodyFrame } from './frame.js'
import { type PlacedNodule, placeNodules } from './nodules.js'
import { Painter } from './paint.js'
import { drawPatient, type Patient } from './patient.js'
import { Scanner } from './scanner.js'
import { Torso } from './torso.js'

/** All that is drawn for one scan before a voxel is painted. */
export interface PlannedScan {
  readonly patient: Patient
  readonly acquisition: Acquisition
  readonly anatomy: Anatomy
  readonly frame: BodyFrame
  readonly nodules: readonly PlacedNodule[]
}

/** One scan. Arrays are (x, y, z) with z fastest; x runs to the patient's left, y to the back, z up. */
export interface Scan {
  readonly shape: Extents
  /** Voxel index -> RAS+ millimetres, row by row. */
  readonly affine: number[]
  readonly hu: Int16Array
  /** Values of `labelNames`. */
  readonly labels: Uint8Array
}

/**
 * Draws scan `index` (from 1) of the cohort of `seed`.
 * @param shape fixes the number of voxels
 * @param nodules the most a patient has
 */
export function planScan(seed: number, index: number, nodules: number, shape?: Extents): PlannedScan {
  const patient = drawPatient(seed, index)
  const torso = new Torso(patient)
  const acquisition = drawAcquisition(patient, torso, shape)
  const anatomy = buildAnatomy(patient, torso)
  const frame = new BodyFrame(patient, acquisition.bodyCentre)
  return { patient, acquisition, anatomy, frame, nodules: placeNodules(patient, anatomy, frame, acquisition, nodules) }
}

/**
 * Paints and measures a planned scan. The event loop gets its turn several times a second.
 * @throws the signal's reason when it is aborted
 */
export async function makeScan(plan: PlannedScan, signal?: AbortSignal): Promise<Scan> {
  const { patient, acquisition, anatomy, frame, nodules } = plan
  const { shape } = acquisition
  const plane = shape[1] * shape[2]
  const hu = new Int16Array(voxelCount(shape))
  const labels = new Uint8Array(voxelCount(shape))
  const painter = new Painter(patient, anatomy, frame, acquisition, nodules)
  const scanner = new Scanner(patient, acquisition, (index) => {
    painter.paint(index, labels.subarray(index * plane, (index + 1) * plane))
    return painter
  })
  let rested = Date.now()
  for (let i = 0; i < shape[0]; i++) {
    scanner.measure(i, hu.subarray(i * plane, (i + 1) * plane))
    if (Date.now() - rested > 60) {
      await setImmediate()
      signal?.throwIfAborted()
      rested = Date.now()
    }
  }
  return { shape, affine: affineOf(acquisition), hu, labels }
}
