import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type EvaluateOptions, optionName } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { writeAtomically } from '../files.js'
import { type Progress, silent } from '../progress.js'
import { type ClassificationResult, evaluateClassification } from './classification.js'
import { classificationPage } from './classification-page.js'
import { type DetectionResult, evaluateDetection } from './detection.js'
import { detectionPage } from './detection-page.js'
import { evaluateSegmentation, figureKeys, type SegmentationResult } from './segmentation.js'
import { segmentationPage } from './segmentation-page.js'
import { writtenTable } from './table.js'

export type EvaluationResult = SegmentationResult | ClassificationResult | DetectionResult

/** Options that mean something for one task only. */
const belongs: Readonly<Partial<Record<keyof EvaluateOptions, EvaluateOptions['task']>>> = {
  images: 'segment',
  labels: 'segment',
  predictedLabels: 'segment',
  tolerance: 'segment',
  ignore: 'detect',
  scans: 'detect',
}

/**
 * Compares predictions with what is true, and writes evaluation.json, cases.csv and evaluation.html into a folder.
 * @returns the result, and the path of the page
 * @throws SemgenError BAD_OPTION, BAD_FILE, NO_DATA, IO; whatever the signal was aborted with
 */
export async function evaluate(
  options: EvaluateOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<{ result: EvaluationResult; page: string }> {
  for (const [key, task] of Object.entries(belongs))
    if (options[key as keyof EvaluateOptions] !== undefined && options.task !== task)
      throw new SemgenError(
        'BAD_OPTION',
        `${optionName(key)} goes with --task ${task}, not with --task ${options.task}.`,
      )
  const files = ['evaluation.json', 'cases.csv', 'evaluation.html'].map((name) => join(options.out, name))
  const taken = options.force ? undefined : files.find((path) => existsSync(path))
  if (taken)
    throw new SemgenError('BAD_OPTION', `${taken} is there already: --force replaces it, or give another --out.`)
  const { result, cases, page } = await compared(options, progress, signal)
  await mkdir(options.out, { recursive: true })
  const [json, csv, html] = files as [string, string, string]
  await writeAtomically(json, `${JSON.stringify(result, null, 1)}\n`)
  await writeAtomically(csv, cases)
  await writeAtomically(html, page)
  return { result, page: html }
}

async function compared(
  options: EvaluateOptions,
  progress: Progress,
  signal?: AbortSignal,
): Promise<{ result: EvaluationResult; cases: string; page: string }> {
  if (options.task === 'segment') {
    const result = await evaluateSegmentation(options, progress, signal)
    return { result, cases: segmentedCases(result), page: await segmentationPage(result) }
  }
  if (options.task === 'classify') {
    const { result, rankings } = await evaluateClassification(options, progress)
    return { result, cases: classifiedCases(result), page: classificationPage(result, rankings) }
  }
  const result = await evaluateDetection(options, progress)
  return { result, cases: foundNodules(result), page: detectionPage(result) }
}

/** A row for every output of every case, and for every case that was left out. */
function segmentedCases({ cases, skipped }: SegmentationResult): string {
  return writtenTable(
    ['case', 'output', 'state', ...figureKeys, 'truthMl', 'predictionMl', 'note'],
    [
      ...cases.flatMap(({ id, outputs, note }) =>
        Object.entries(outputs).map(([output, of]) => [
          id,
          output,
          of.state,
          ...figureKeys.map((key) => of[key]),
          of.truthMl,
          of.predictionMl,
          note,
        ]),
      ),
      ...skipped.map(({ id, reason }) => [id, '', 'left out', ...figureKeys.map(() => ''), '', '', reason]),
    ],
  )
}

function classifiedCases({ cases, classes, skipped }: ClassificationResult): string {
  const names = Object.keys(classes)
  return writtenTable(
    ['case', 'truth', 'called', ...names.map((name) => `score ${name}`), 'note'],
    [
      ...cases.map(({ id, truth, called, scores }) => [
        id,
        truth.join(' '),
        called.join(' '),
        ...names.map((name) => scores[name]),
        '',
      ]),
      ...skipped.map(({ id, reason }) => [id, '', '', ...names.map(() => ''), reason]),
    ],
  )
}

/** A row for every nodule, and for every scan without one. */
function foundNodules({ finds }: DetectionResult): string {
  return writtenTable(
    ['scan', 'x', 'y', 'z', 'diameterMm', 'bestScore', 'falsePositivesOfScan', 'ignoredMarksOfScan'],
    finds.flatMap(({ scan, nodules, falsePositives, ignored }) => {
      const rest = [falsePositives.length, ignored]
      if (nodules.length === 0) return [[scan, '', '', '', '', '', ...rest]]
      return nodules.map(({ nodule, score }) => [scan, ...nodule.centre, 2 * nodule.radius, score, ...rest])
    }),
  )
}
