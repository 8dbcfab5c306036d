import { Chest } from './chest.js'
import { belly, heart } from './organs.js'
import type { Patient } from './patient.js'
import type { Solid } from './shapes.js'
import { type Part, part, ribCage, shoulders, spine } from './skeleton.js'
import { Torso } from './torso.js'
import { lungTrees } from './tree.js'
import { mediastinum } from './vessels.js'

/** A patient's body: the trunk, and all that is painted into it, in the order of painting. */
export interface Anatomy {
  readonly torso: Torso
  readonly parts: readonly Part[]
  readonly lungs: readonly [right: Solid, left: Solid]
  /** What is painted over the lungs: nodules keep clear of it. */
  readonly aroundLungs: readonly Solid[]
}

/** Builds a patient's anatomy in the body's frame. Only `torso` is needed to plan a scan of it. */
export function buildAnatomy(patient: Patient, torso: Torso = new Torso(patient)): Anatomy {
  const { tissues } = patient
  const chest = new Chest(patient)
  const lungs = [chest.lung('right'), chest.lung('left')] as const
  const heartParts = heart(patient, chest)
  const middle = mediastinum(patient)
  const over: Part[] = [
    part(tissues.viscusFat, chest.belly()),
    part(tissues.muscle, chest.diaphragm()),
    ...heartParts,
    ...belly(patient, chest),
    ...middle.parts,
    ...spine(patient),
    ...ribCage(patient, torso),
    ...shoulders(patient, torso),
  ]
  return {
    torso,
    lungs,
    aroundLungs: over.map(({ solid }) => solid),
    parts: [
      ...fatPlanes().map((solid) => part(tissues.fat, solid)),
      part(tissues.rightLung, lungs[0]),
      part(tissues.leftLung, lungs[1]),
      ...lungTrees(patient, torso, chest, heartParts[0]!.solid, middle.hila),
      ...over,
    ],
  }
}

/** Fat between the layers of muscle on the upper chest and along the spine, and in the armpits. */
function fatPlanes(): Solid[] {
  const layer: Solid = {
    box: { low: [-170, -110, 40], high: [170, 120, 215] },
    distance: (x, y, z, wall) =>
      Math.max(Math.abs(wall - 14.5) - 1.7, 40 - z, 42 - Math.abs(x) + Math.max(0, -y) * 0.2),
  }
  const armpits = [-1, 1].map(
    (side): Solid => ({
      box: { low: [side < 0 ? -165 : 90, -60, 130], high: [side < 0 ? -90 : 165, 60, 215] },
      distance: (_x, y, z, wall) => {
        const u = (wall - 26) / 14
        const v = (y + 4) / 34
        const w = (z - 170) / 40
        return (Math.sqrt(u * u + v * v + w * w) - 1) * 15
      },
    }),
  )
  // Around the long muscles of the back, left and right of the spine.
  const back = [-1, 1].map(
    (side): Solid => ({
      box: { low: [side < 0 ? -62 : 8, 70, -300], high: [side < 0 ? -8 : 62, 130, 150] },
      distance: (x, _y, z, wall) => {
        const u = (Math.abs(x) - 34) / 27
        const v = (wall - 17) / 13
        return Math.max(Math.abs(Math.sqrt(u * u + v * v) - 1) * 15 - 1.1, z - 150)
      },
    }),
  )
  return [layer, ...armpits, ...back]
}
