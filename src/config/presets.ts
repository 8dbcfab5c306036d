import { type OptionTable, optionName } from './options.js'
import type { Layer } from './resolve.js'

/** A target task: the options that make it that task, under what is given otherwise. */
interface Preset {
  /** What it is, for people. */
  readonly about: string
  readonly options: Readonly<Record<string, unknown>>
}

/** What the paper's target tasks have in common (Haghighi et al. 2020). */
const asPublished = { patch: '64x64x32', batch: 16, learningRate: 0.001, schedule: 'plateau' }
const segmented = { ...asPublished, task: 'segment', loss: 'dice' }

const presets = {
  ncc: {
    about: 'lung nodules told from other candidates in CT (LUNA16, split by subset; needs --candidates)',
    options: { ...asPublished, task: 'classify', modality: 'ct', batch: 24 },
  },
  ncs: {
    about: 'lung nodules segmented in CT (LIDC-IDRI)',
    options: { ...segmented, modality: 'ct', split: '0.5,0.1,0.4' },
  },
  lcs: {
    about: 'the liver, tumours and all, segmented in CT (LiTS, split as published)',
    options: { ...segmented, modality: 'ct', labels: 'liver=1-2' },
  },
  bms: {
    about: 'whole brain tumours segmented in FLAIR (BraTS, three folds)',
    // Published: 100x100x50 voxels of 1 mm, brought to the patch.
    options: {
      ...segmented,
      modality: 'mr',
      channels: 'flair',
      labels: 'whole=1-4',
      folds: 3,
      spacing: '1.5625x1.5625x1.5625',
    },
  },
  hippocampus: {
    about: 'both parts of the hippocampus segmented in MR (Medical Segmentation Decathlon)',
    options: {
      modality: 'mr',
      labels: '1,2',
      patch: '32x48x32',
      batch: 4,
      loss: 'dice-ce',
      augmentStrength: 'strong',
      learningRate: 0.003,
      schedule: 'polynomial',
    },
  },
} as const satisfies Record<string, Preset>

export type PresetName = keyof typeof presets
export const presetNames = Object.keys(presets) as [PresetName, ...PresetName[]]

/** What a preset is, and sets, in one line. */
export function describePreset(name: PresetName): string {
  const { about, options } = presets[name] as Preset
  const set = Object.entries(options).map(([key, value]) => `${optionName(key)} ${value}`)
  return `Preset ${name}: ${about}; sets ${set.join(' ')} where nothing else does.`
}

/** The values of a preset, as the last layer before an option table's defaults. */
export function presetLayer(table: OptionTable, name: PresetName): Layer {
  const entries = Object.entries((presets[name] as Preset).options).filter(([key]) => key in table)
  const origin = (key: string) => `--preset ${name} (${optionName(key)})`
  return new Map(entries.map(([key, value]) => [key, { value, origin: origin(key), unasked: true }]))
}
