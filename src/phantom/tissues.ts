import type { Random } from '../random.js'

/** Value of a label map -> what it marks. Values never change their meaning; new ones are added at the end. */
export const labelNames = [
  'background',
  'skin',
  'fat',
  'muscle',
  'right lung',
  'left lung',
  'airways',
  'heart',
  'aorta',
  'great vessels',
  'pulmonary vessels',
  'liver',
  'gallbladder',
  'spleen',
  'stomach',
  'right kidney',
  'left kidney',
  'pancreas',
  'bowel',
  'oesophagus',
  'vertebrae',
  'spinal canal',
  'discs',
  'ribs',
  'costal cartilage',
  'sternum',
  'shoulder girdle',
  'nodule',
] as const
export type LabelName = (typeof labelNames)[number]

/** The value that marks something in a label map. */
export const labelOf = (name: LabelName): number => labelNames.indexOf(name)

/** What a shape is filled with. */
export interface Tissue {
  /** Its value in the label map. */
  readonly label: number
  /** Hounsfield units, on average. */
  readonly hu: number
  /** Standard deviation, in HU, of a smooth unevenness. */
  readonly texture: number
  /** HU for each millimetre towards the back: the weight of a lung presses its lower parts together. */
  readonly gravity: number
}

/** Whether contrast agent was given, and how long before: it changes blood and what blood fills. */
export const phases = ['native', 'venous'] as const
export type Phase = (typeof phases)[number]

/** Mean HU without contrast and in the portal venous phase, standard deviation between patients, and unevenness. */
const values = {
  skin: ['skin', 20, 20, 8, 4],
  fat: ['fat', -102, -102, 5, 7],
  viscusFat: ['fat', -98, -98, 5, 9],
  pericardialFat: ['fat', -85, -85, 5, 6],
  muscle: ['muscle', 52, 60, 5, 7],
  rightLung: ['right lung', -835, -830, 22, 14],
  leftLung: ['left lung', -835, -830, 22, 14],
  airwayWall: ['airways', 5, 10, 10, 0],
  airwayLumen: ['airways', -985, -985, 5, 0],
  myocardium: ['heart', 46, 98, 5, 3],
  heartBlood: ['heart', 41, 148, 4, 3],
  aorta: ['aorta', 41, 146, 4, 2],
  greatVessels: ['great vessels', 40, 138, 4, 2],
  pulmonaryVessels: ['pulmonary vessels', 38, 132, 5, 2],
  liver: ['liver', 57, 104, 5, 4],
  liverVessels: ['liver', 43, 138, 4, 2],
  gallbladder: ['gallbladder', 8, 10, 4, 1],
  spleen: ['spleen', 49, 116, 4, 3],
  stomachWall: ['stomach', 38, 78, 5, 3],
  stomachFluid: ['stomach', 18, 20, 8, 7],
  stomachGas: ['stomach', -960, -960, 15, 0],
  rightKidney: ['right kidney', 32, 168, 4, 4],
  leftKidney: ['left kidney', 32, 168, 4, 4],
  pancreas: ['pancreas', 38, 92, 5, 9],
  bowelWall: ['bowel', 32, 62, 6, 4],
  bowelContent: ['bowel', 24, 28, 10, 14],
  bowelGas: ['bowel', -900, -900, 30, 0],
  oesophagus: ['oesophagus', 32, 48, 5, 3],
  cortex: ['vertebrae', 620, 620, 60, 30],
  marrow: ['vertebrae', 205, 215, 28, 22],
  canal: ['spinal canal', 28, 30, 4, 3],
  disc: ['discs', 78, 82, 8, 5],
  ribCortex: ['ribs', 880, 880, 80, 40],
  ribMarrow: ['ribs', 330, 330, 40, 30],
  cartilage: ['costal cartilage', 105, 110, 15, 12],
  sternumCortex: ['sternum', 560, 560, 60, 30],
  sternumMarrow: ['sternum', 205, 205, 25, 20],
  girdleCortex: ['shoulder girdle', 900, 900, 80, 30],
  girdleMarrow: ['shoulder girdle', 310, 310, 40, 25],
} as const satisfies Record<string, readonly [LabelName, number, number, number, number]>

export type TissueName = keyof typeof values
export type Tissues = Readonly<Record<TissueName, Tissue>>

/** One patient's tissues. Tissues of one label vary together, so that both kidneys and both lungs are alike. */
export function drawTissues(random: Random, phase: Phase): Tissues {
  const column = phase === 'native' ? 1 : 2
  // A weaker or stronger dose of contrast agent moves everything it fills.
  const strength = 1 + 0.08 * limitedNormal(random)
  const shared = new Map<string, number>()
  const drawn = Object.entries(values).map(([name, row]) => {
    const [label, native, , deviation, texture] = row
    const family = label.replace(/^(right|left) /, '')
    const draw = shared.get(family) ?? limitedNormal(random)
    shared.set(family, draw)
    const hu = native + (row[column] - native) * strength + deviation * draw
    const gravity = family === 'lung' ? 0.55 : 0
    return [name, { label: labelOf(label), hu, texture, gravity }] as const
  })
  return Object.fromEntries(drawn) as Tissues
}

/** A standard normal draw, kept within two standard deviations: nobody's anatomy is absurd. */
export function limitedNormal(random: Random): number {
  return Math.max(-2, Math.min(2, random.normal()))
}
