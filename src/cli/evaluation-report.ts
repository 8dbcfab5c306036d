import type { EvaluationResult } from '../evaluation/index.js'
import { figure, range, three } from '../format.js'
import { table } from './table.js'

const columns = (heads: readonly string[]) =>
  heads.map((head, i) => ({ head, align: i === 0 ? ('left' as const) : ('right' as const) }))

/** The figures of an evaluation as a terminal shows them. */
export function evaluationReport(result: EvaluationResult): string {
  if (result.task === 'detect') {
    const { froc, rates } = result
    return table(columns(['false positives a scan', ...rates.map(String), 'mean', '95 % interval']), [
      ['sensitivity', ...froc.sensitivities.map(three), three(froc.mean), range(froc.interval)],
    ])
  }
  if (result.task === 'classify') {
    const rows = Object.entries(result.classes).map(([name, of]) => [
      name,
      String(of.positives),
      String(of.negatives),
      three(of.auc),
      range(of.interval),
      three(of.averagePrecision),
      three(of.sensitivity),
      three(of.specificity),
    ])
    const heads = ['class', 'positives', 'negatives', 'AUC', '95 % interval', 'average precision', 'sensitivity']
    return table(columns([...heads, 'specificity']), rows)
  }
  const { outputs, mean, cases } = result
  const row = (name: string, of: typeof mean): string[] => [
    name,
    three(of.dice?.mean),
    three(of.dice?.deviation),
    three(of.iou?.mean),
    three(of.legacyMeanIoU?.mean),
    three(of.surfaceDice?.mean),
    of.hausdorff95 ? figure(of.hausdorff95.mean) : '–',
  ]
  const entries = Object.entries(outputs)
  return table(
    columns([
      `${cases.length} case${cases.length === 1 ? '' : 's'}`,
      'Dice',
      'sd',
      'IoU',
      'legacyMeanIoU',
      'surface Dice',
      '95 % Hausdorff, mm',
    ]),
    [
      ...entries.map(([name, { figures }]) => row(name, figures)),
      ...(entries.length > 1 ? [row('mean over outputs', mean)] : []),
    ],
  )
}
