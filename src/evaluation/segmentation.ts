import { segmentationOutputs } from '../cases/outputs.js'
import type { EvaluateOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import {
  type ComparedCase,
  type ComparedOutput,
  compareMaps,
  type FigureName,
  figureNames,
  labelOutput,
  nothing,
  type OutputFigures,
  type State,
} from './compare-maps.js'
import { gridsDiffer, labelsOf, type Opened, openVolume, probabilitiesOf } from './label-map.js'
import { addCounts, type Counts, diceOf, iouOf, legacyMeanIoU } from './overlap.js'
import { findPairs, type Pair } from './pairs.js'
import { type Summary, summaryOf } from './summary.js'

export interface SegmentedCase {
  readonly id: string
  readonly truth: string
  /** null where there is none that can be compared, and an empty one stands for it. */
  readonly prediction: string | null
  readonly image?: string
  /** Why an empty prediction stands for this case's. */
  readonly note?: string
  readonly outputs: Readonly<Record<string, OutputFigures>>
  /** Of each figure the mean over the outputs that have it. */
  readonly mean: Readonly<Partial<Record<FigureName, number>>>
}

export interface OutputSummary {
  readonly labels: Omit<ComparedOutput, 'name'>
  /** How many cases are in which state. */
  readonly states: Readonly<Record<State, number>>
  /** Over the cases that have the figure. */
  readonly figures: Readonly<Partial<Record<FigureName, Summary>>>
  /** Of the voxels of all cases together, as the published code counts. */
  readonly pooled: Readonly<{ dice?: number; iou?: number; legacyMeanIoU: number }>
}

export interface SegmentationResult {
  readonly task: 'segment'
  readonly predictions: string
  readonly truth: string
  /** Millimetres. */
  readonly tolerance: number
  readonly seed: number
  /** Of the cases' means over outputs. */
  readonly mean: Readonly<Partial<Record<FigureName, Summary>>>
  readonly outputs: Readonly<Record<string, OutputSummary>>
  readonly cases: readonly SegmentedCase[]
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
  /** Predictions of which there is no truth. */
  readonly unmatched: readonly string[]
}

/** Where surfaces agree unless it is said otherwise: a voxel of a usual scan. */
const usualTolerance = 1

export const figureKeys = Object.keys(figureNames) as FigureName[]

/**
 * Compares every case's label map with its truth, voxel by voxel on the truth's grid.
 * @throws SemgenError NO_DATA, BAD_OPTION, BAD_FILE, IO; whatever the signal was aborted with
 */
export async function evaluateSegmentation(
  options: EvaluateOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<SegmentationResult> {
  const { pairs, unmatched } = await findPairs(options.predictions, options.truth, options.images)
  const asked = askedOutputs(options)
  const tolerance = options.tolerance ?? usualTolerance
  const without = pairs.filter(({ prediction }) => prediction === undefined)
  if (without.length > 0 && options.missing === 'error')
    throw new SemgenError(
      'NO_DATA',
      `${without.length} of ${counted(pairs.length, 'case')} of ${options.truth} have no prediction in ${options.predictions}; the first is ${without[0]!.id}. ` +
        '--missing skip leaves them out, --missing empty takes them for empty.',
    )
  const compared: { pair: Pair; of: ComparedCase; note: string | undefined }[] = []
  const skipped: { id: string; reason: string }[] = []
  const task = progress.begin('Comparing', pairs.length, 'cases')
  try {
    for (const pair of pairs) {
      signal?.throwIfAborted()
      const { of, note } = await comparePair(pair, asked, tolerance, options)
      if (of) compared.push({ pair, of, note })
      else skipped.push({ id: pair.id, reason: note! })
      task.advance()
    }
  } finally {
    task.end()
  }
  if (compared.length === 0)
    throw new SemgenError('NO_DATA', `None of ${counted(pairs.length, 'case')} can be compared: ${skipped[0]!.reason}`)
  const outputs = asked ?? foundOutputs(compared.map(({ of }) => of))
  const slugs = new Set(outputs.map(({ name }) => slugOf(name)))
  const strays = pairs.flatMap(({ probabilities }) =>
    [...probabilities].filter(([slug]) => !slugs.has(slug)).map(([, path]) => path),
  )
  const cases = compared.map(({ pair, of, note }) => caseOf(pair, of, note, outputs))
  const result: SegmentationResult = {
    task: 'segment',
    predictions: options.predictions,
    truth: options.truth,
    tolerance,
    seed: options.seed,
    mean: summaries(
      cases.map(({ mean }) => mean),
      options.seed,
    ),
    outputs: Object.fromEntries(
      outputs.map((output) => [
        output.name,
        outputSummary(
          output,
          cases,
          compared.map(({ of }) => of),
          options.seed,
        ),
      ]),
    ),
    cases,
    skipped,
    unmatched: [...unmatched, ...strays],
  }
  tell(result, progress)
  return result
}

/** What --labels and --predicted-labels ask for; undefined where every label that occurs is compared. */
function askedOutputs({ labels, predictedLabels }: EvaluateOptions): ComparedOutput[] | undefined {
  const all = Array.from({ length: 255 }, (_, i) => i + 1)
  if (labels === undefined) {
    if (predictedLabels === undefined) return undefined
    throw new SemgenError('BAD_OPTION', '--predicted-labels goes with --labels, which names the same outputs.')
  }
  const truth = segmentationOutputs(labels, all)
  const prediction = segmentationOutputs(predictedLabels ?? labels, all)
  return truth.map(({ name, labels }, i) => {
    // Single labels are paired by their place, groups by their names.
    const other =
      labels.length === 1 && name === `label ${labels[0]}` ? prediction[i] : prediction.find((one) => one.name === name)
    if (!other || prediction.length !== truth.length)
      throw new SemgenError(
        'BAD_OPTION',
        `--predicted-labels must name the outputs of --labels (${truth.map((one) => one.name).join(', ')}), but names ${prediction.map((one) => one.name).join(', ')}.`,
      )
    return { name, truth: labels, prediction: other.labels }
  })
}

async function comparePair(
  pair: Pair,
  outputs: readonly ComparedOutput[] | undefined,
  tolerance: number,
  { missing }: EvaluateOptions,
): Promise<{ of?: ComparedCase; note?: string }> {
  const truthFile = await openVolume(pair.truth)
  const { shape, spacing } = truthFile
  const truth = labelsOf(truthFile)
  const compare = (prediction: Uint8Array, probabilities: ReadonlyMap<string, Float32Array>) =>
    compareMaps({ shape, spacing, truth, prediction, probabilities }, outputs, tolerance)
  try {
    if (pair.prediction === undefined) throw new SemgenError('NO_DATA', `${pair.id} has no prediction.`)
    const { prediction, probabilities } = await readPrediction(pair, truthFile, outputs)
    return { of: compare(prediction, probabilities) }
  } catch (error) {
    if (!(error instanceof SemgenError) || !['NO_DATA', 'BAD_FILE', 'UNSUPPORTED'].includes(error.code)) throw error
    if (missing === 'error')
      throw new SemgenError(
        error.code,
        `${error.message} --missing skip leaves such cases out, --missing empty takes their predictions for empty.`,
        { cause: error },
      )
    if (missing === 'skip') return { note: error.message }
    return { of: compare(new Uint8Array(truth.length), new Map()), note: error.message }
  }
}

/** The predicted labels on the truth's grid, and what is known of probabilities by the names of outputs. */
async function readPrediction(
  pair: Pair,
  truth: Opened,
  outputs: readonly ComparedOutput[] | undefined,
): Promise<{ prediction: Uint8Array; probabilities: Map<string, Float32Array> }> {
  const onGrid = async (path: string) => {
    const opened = await openVolume(path)
    const differ = gridsDiffer(opened, truth)
    if (differ) throw new SemgenError('BAD_FILE', differ)
    return opened
  }
  const file = await onGrid(pair.prediction!)
  const odd = file.noLabel()
  if (odd !== undefined && odd > 0 && odd < 1) {
    const only = outputs?.[0]
    if (!only || outputs.length > 1)
      throw new SemgenError(
        'BAD_FILE',
        `${file.path} holds ${odd}: a map of probabilities can be compared where --labels names a single output.`,
      )
    const probability = probabilitiesOf(file)
    const prediction = Uint8Array.from(probability, (value) => (value > 0.5 ? only.prediction[0]! : 0))
    return { prediction, probabilities: new Map([[only.name, probability]]) }
  }
  const prediction = labelsOf(file)
  const probabilities = new Map<string, Float32Array>()
  // Without --labels, outputs are called after the labels that occur.
  const names = outputs?.map(({ name }) => name) ?? Array.from({ length: 255 }, (_, i) => labelOutput(i + 1).name)
  for (const name of names) {
    const path = pair.probabilities.get(slugOf(name))
    if (path !== undefined) probabilities.set(name, probabilitiesOf(await onGrid(path)))
  }
  return { prediction, probabilities }
}

/** An output's name as predict puts it into names of files. */
const slugOf = (name: string): string => name.replace(/[^\w.-]+/g, '-')

function foundOutputs(cases: readonly ComparedCase[]): ComparedOutput[] {
  const names = new Set(cases.flatMap(({ figures }) => [...figures.keys()]))
  return Array.from({ length: 255 }, (_, i) => labelOutput(i + 1)).filter(({ name }) => names.has(name))
}

function caseOf(
  pair: Pair,
  of: ComparedCase,
  note: string | undefined,
  outputs: readonly ComparedOutput[],
): SegmentedCase {
  const figures = outputs.map(({ name }) => [name, of.figures.get(name) ?? nothing(of.voxels).figures] as const)
  const mean = figureKeys.flatMap((key) => {
    const values = figures.flatMap(([, one]) => (one[key] === undefined ? [] : [one[key]]))
    return values.length === 0 ? [] : [[key, values.reduce((sum, value) => sum + value, 0) / values.length] as const]
  })
  return {
    id: pair.id,
    truth: pair.truth,
    prediction: note === undefined ? pair.prediction! : null,
    ...(pair.image === undefined ? {} : { image: pair.image }),
    ...(note === undefined ? {} : { note }),
    outputs: Object.fromEntries(figures),
    mean: Object.fromEntries(mean),
  }
}

function outputSummary(
  { name, ...labels }: ComparedOutput,
  cases: readonly SegmentedCase[],
  compared: readonly ComparedCase[],
  seed: number,
): OutputSummary {
  const each = cases.map(({ outputs }) => outputs[name]!)
  const states = { compared: 0, 'truth empty': 0, 'prediction empty': 0, 'both empty': 0 }
  for (const { state } of each) states[state]++
  const counts = compared
    .map((of): readonly Counts[] => of.counts.get(name) ?? nothing(of.voxels).counts)
    .reduce(addCounts)
  const [half] = compared
    .map((of): readonly Counts[] => [of.atHalf.get(name) ?? nothing(of.voxels).counts[0]!])
    .reduce(addCounts)
  const [dice, iou] = [diceOf(half!), iouOf(half!)]
  return {
    labels,
    states,
    figures: summaries(each, seed),
    pooled: {
      ...(dice === undefined ? {} : { dice }),
      ...(iou === undefined ? {} : { iou }),
      legacyMeanIoU: legacyMeanIoU(counts),
    },
  }
}

function summaries(
  rows: readonly Readonly<Partial<Record<FigureName, number>>>[],
  seed: number,
): Partial<Record<FigureName, Summary>> {
  const found = figureKeys.flatMap((key) => {
    const summary = summaryOf(
      rows.flatMap((row) => (row[key] === undefined ? [] : [row[key]])),
      seed,
    )
    return summary ? [[key, summary] as const] : []
  })
  return Object.fromEntries(found)
}

function tell({ cases, skipped, unmatched, outputs }: SegmentationResult, progress: Progress): void {
  const stood = cases.filter(({ note }) => note !== undefined)
  if (stood[0]) progress.warn(`${counted(stood.length, 'case')} count as predicted empty; the first: ${stood[0].note}`)
  if (skipped[0]) progress.warn(`Left out: ${counted(skipped.length, 'case')}; the first: ${skipped[0].reason}`)
  if (unmatched[0])
    progress.warn(`Left out: ${counted(unmatched.length, 'prediction')} without a truth; the first: ${unmatched[0]}`)
  for (const [name, { states }] of Object.entries(outputs))
    if (states['both empty'] === cases.length) progress.warn(`No case has a voxel of ${name}, in truth or prediction.`)
}

/** The cases of the highest, the middle and the lowest mean Dice; fewer where there are fewer. */
export function remarkableCases({
  cases,
}: SegmentationResult): { readonly what: string; readonly of: SegmentedCase }[] {
  const ranked = cases
    .filter(({ mean }) => mean.dice !== undefined)
    .sort((a, b) => b.mean.dice! - a.mean.dice! || (a.id < b.id ? -1 : 1))
  const places = [
    { what: 'Best', at: 0 },
    { what: 'Median', at: Math.floor((ranked.length - 1) / 2) },
    { what: 'Worst', at: ranked.length - 1 },
  ]
  return places
    .filter(({ at }, i) => at >= 0 && places.findIndex((other) => other.at === at) === i)
    .map(({ what, at }) => ({ what, of: ranked[at]! }))
}
