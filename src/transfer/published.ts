import type { PresetName } from '../config/index.js'

/** What the paper reports for a target task (Haghighi et al. 2020, table 1), in per cent. */
export interface PublishedTask {
  /** The paper's measure, and how it differs from the one here. */
  readonly measure: string
  /** Mean over at least ten runs, and their standard deviation where the paper gives it. */
  readonly starts: readonly (readonly [start: string, mean: number, deviation?: number])[]
}

const auc = 'AUC, as here.'
const iou =
  'The paper’s “IoU” is the mean of foreground’s and background’s over several thresholds, which reads higher than a foreground’s IoU ' +
  'and is no Dice: compare differences, and with evaluate’s legacyMeanIoU.'

export const published: Readonly<Partial<Record<PresetName, PublishedTask>>> = {
  ncc: {
    measure: auc,
    starts: [
      ['scratch', 94.25, 5.07],
      ['NiftyNet', 94.14],
      ['MedicalNet', 95.8],
      ['I3D', 98.26],
      ['in-painting', 95.12],
      ['shuffling', 94.9],
      ['rotation', 94.42],
      ['Rubik’s cube', 96.24],
      ['Models Genesis', 98.07, 0.59],
      ['Semantic Genesis', 98.46, 0.3],
    ],
  },
  ncs: {
    measure: iou,
    starts: [
      ['scratch', 74.05, 1.97],
      ['NiftyNet', 52.98],
      ['MedicalNet', 75.68],
      ['I3D', 71.58],
      ['in-painting', 76.02],
      ['shuffling', 75.55],
      ['rotation', 76.13],
      ['Rubik’s cube', 72.87],
      ['Models Genesis', 77.41, 0.4],
      ['Semantic Genesis', 77.33, 0.52],
    ],
  },
  lcs: {
    measure: iou,
    starts: [
      ['scratch', 79.76, 5.42],
      ['NiftyNet', 83.23],
      ['MedicalNet', 85.52],
      ['I3D', 70.65],
      ['in-painting', 81.36],
      ['shuffling', 82.82],
      ['rotation', 83.15],
      ['Rubik’s cube', 75.59],
      ['Models Genesis', 85.1, 2.15],
      ['Semantic Genesis', 86.53, 1.3],
    ],
  },
  bms: {
    measure: iou,
    starts: [
      ['scratch', 59.87, 4.04],
      ['NiftyNet', 60.78],
      ['MedicalNet', 66.09],
      ['I3D', 67.83],
      ['in-painting', 61.38],
      ['shuffling', 59.05],
      ['rotation', 60.53],
      ['Rubik’s cube', 62.75],
      ['Models Genesis', 67.96, 1.29],
      ['Semantic Genesis', 68.82, 0.38],
    ],
  },
}
