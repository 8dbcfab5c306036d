import { type Extents, voxelCount } from '../extents.js'
import { type Counts, countsByThreshold, diceOf, iouOf, legacyMeanIoU, legacyThresholds } from './overlap.js'
import { compareSurfaces } from './surface.js'

/** What is compared: labels of the truth with labels of the prediction. */
export interface ComparedOutput {
  readonly name: string
  readonly truth: readonly number[]
  readonly prediction: readonly number[]
}

export type State = 'compared' | 'truth empty' | 'prediction empty' | 'both empty'

/**
 * One output of one case. Where both masks are empty there is nothing to measure, and no figure. Where one is, overlap and
 * surface Dice are 0, and the Hausdorff distance is the grid's diagonal, the largest there can be.
 */
export interface OutputFigures {
  readonly state: State
  readonly truthMl: number
  readonly predictionMl: number
  readonly dice?: number
  readonly iou?: number
  readonly legacyMeanIoU?: number
  readonly surfaceDice?: number
  /** Millimetres. */
  readonly hausdorff95?: number
}

/** Figures that are averaged over cases, with what they are called. */
export const figureNames = {
  dice: 'Dice',
  iou: 'IoU',
  legacyMeanIoU: 'legacyMeanIoU',
  surfaceDice: 'surface Dice',
  hausdorff95: '95 % Hausdorff, mm',
} as const
export type FigureName = keyof typeof figureNames

export interface ComparedCase {
  readonly figures: ReadonlyMap<string, OutputFigures>
  /** Voxels at each of `legacyThresholds`, for sums over cases. */
  readonly counts: ReadonlyMap<string, readonly Counts[]>
  /** Voxels of the label maps themselves. */
  readonly atHalf: ReadonlyMap<string, Counts>
  readonly voxels: number
}

/** Two label maps on one grid, z fastest, and the outputs' probabilities where they are known. */
export interface Maps {
  readonly shape: Extents
  /** Millimetres. */
  readonly spacing: Extents
  readonly truth: Uint8Array
  readonly prediction: Uint8Array
  readonly probabilities: ReadonlyMap<string, Float32Array>
}

/**
 * Compares a case's maps.
 * @param outputs default: every label but 0 that one of the maps has
 * @param tolerance millimetres within which surfaces agree
 */
export function compareMaps(
  maps: Maps,
  outputs: readonly ComparedOutput[] | undefined,
  tolerance: number,
): ComparedCase {
  const joint = new Joint(maps)
  const compared = outputs ?? joint.labels().map(labelOutput)
  const figures = new Map<string, OutputFigures>()
  const counts = new Map<string, readonly Counts[]>()
  const atHalf = new Map<string, Counts>()
  const millilitres = maps.spacing.reduce((product, step) => product * step, 1) / 1000
  for (const output of compared) {
    const here = joint.counts(output)
    const probabilities = maps.probabilities.get(output.name)
    const inTruth = membership(output.truth)
    const byThreshold = probabilities
      ? countsByThreshold((voxel) => inTruth[maps.truth[voxel]!] === 1, probabilities)
      : legacyThresholds.map(() => here)
    const [truth, prediction] = [here.both + here.missed, here.both + here.added]
    const sizes = { truthMl: truth * millilitres, predictionMl: prediction * millilitres }
    counts.set(output.name, byThreshold)
    atHalf.set(output.name, here)
    if (truth + prediction === 0) {
      figures.set(output.name, { state: 'both empty', ...sizes })
      continue
    }
    const state = truth === 0 ? 'truth empty' : prediction === 0 ? 'prediction empty' : 'compared'
    const surfaces =
      state === 'compared'
        ? joint.surfaces(output, tolerance)
        : {
            surfaceDice: 0,
            hausdorff95: Math.hypot(...maps.shape.map((extent, axis) => extent * maps.spacing[axis]!)),
          }
    figures.set(output.name, {
      state,
      ...sizes,
      dice: diceOf(here)!,
      iou: iouOf(here)!,
      legacyMeanIoU: legacyMeanIoU(byThreshold),
      ...surfaces,
    })
  }
  return { figures, counts, atHalf, voxels: voxelCount(maps.shape) }
}

/** A label compared with itself. */
export const labelOutput = (label: number): ComparedOutput => ({
  name: `label ${label}`,
  truth: [label],
  prediction: [label],
})

/** An output of which a case has no voxel at all. */
export const nothing = (voxels: number): { figures: OutputFigures; counts: readonly Counts[] } => ({
  figures: { state: 'both empty', truthMl: 0, predictionMl: 0 },
  counts: legacyThresholds.map(() => ({ both: 0, added: 0, missed: 0, neither: voxels })),
})

type Box = { readonly low: [number, number, number]; readonly high: [number, number, number] }

/** How often each label of the truth meets each of the prediction, and where each lies: one pass for all outputs. */
class Joint {
  readonly #maps: Maps
  readonly #meetings = new Float64Array(256 * 256)
  readonly #boxes: { readonly truth: (Box | undefined)[]; readonly prediction: (Box | undefined)[] } = {
    truth: [],
    prediction: [],
  }

  constructor(maps: Maps) {
    this.#maps = maps
    const { shape, truth, prediction } = maps
    let i = 0
    for (let x = 0; x < shape[0]; x++)
      for (let y = 0; y < shape[1]; y++)
        for (let z = 0; z < shape[2]; z++, i++) {
          const [t, p] = [truth[i]!, prediction[i]!]
          this.#meetings[t * 256 + p]!++
          if (t > 0) grow(this.#boxes.truth, t, x, y, z)
          if (p > 0) grow(this.#boxes.prediction, p, x, y, z)
        }
  }

  /** Labels above 0 that either map has. */
  labels(): number[] {
    const { truth, prediction } = this.#boxes
    return Array.from({ length: 256 }, (_, label) => label).filter((label) => truth[label] ?? prediction[label])
  }

  counts({ truth, prediction }: ComparedOutput): Counts {
    const [inTruth, inPrediction] = [membership(truth), membership(prediction)]
    const sums = { both: 0, added: 0, missed: 0, neither: 0 }
    for (let t = 0; t < 256; t++)
      for (let p = 0; p < 256; p++) {
        const kind = inTruth[t] ? (inPrediction[p] ? 'both' : 'missed') : inPrediction[p] ? 'added' : 'neither'
        sums[kind] += this.#meetings[t * 256 + p]!
      }
    return sums
  }

  /** Compares the surfaces of two masks, neither empty, within the box that holds both: outside of it nothing is. */
  surfaces({ truth, prediction }: ComparedOutput, tolerance: number) {
    const boxes = [
      ...truth.map((label) => this.#boxes.truth[label]),
      ...prediction.map((label) => this.#boxes.prediction[label]),
    ].filter((box) => box !== undefined)
    const start = [0, 1, 2].map((axis) => Math.min(...boxes.map(({ low }) => low[axis]!)))
    const end = [0, 1, 2].map((axis) => Math.max(...boxes.map(({ high }) => high[axis]!)) + 1)
    const shape = end.map((value, axis) => value - start[axis]!) as unknown as Extents
    const masks = [
      this.#cut(this.#maps.truth, membership(truth), start, shape),
      this.#cut(this.#maps.prediction, membership(prediction), start, shape),
    ] as const
    return compareSurfaces(...masks, shape, this.#maps.spacing, tolerance)
  }

  #cut(labels: Uint8Array, members: Uint8Array, start: readonly number[], shape: Extents): Uint8Array {
    const [, ny, nz] = this.#maps.shape
    const mask = new Uint8Array(voxelCount(shape))
    let i = 0
    for (let x = 0; x < shape[0]; x++)
      for (let y = 0; y < shape[1]; y++) {
        let from = ((start[0]! + x) * ny + start[1]! + y) * nz + start[2]!
        for (let z = 0; z < shape[2]; z++) mask[i++] = members[labels[from++]!]!
      }
    return mask
  }
}

function grow(boxes: (Box | undefined)[], label: number, x: number, y: number, z: number): void {
  const box = boxes[label]
  if (!box) {
    boxes[label] = { low: [x, y, z], high: [x, y, z] }
    return
  }
  const { low, high } = box
  if (x > high[0]) high[0] = x
  if (y < low[1]) low[1] = y
  else if (y > high[1]) high[1] = y
  if (z < low[2]) low[2] = z
  else if (z > high[2]) high[2] = z
}

function membership(labels: readonly number[]): Uint8Array {
  const members = new Uint8Array(256)
  for (const label of labels) members[label] = 1
  return members
}
