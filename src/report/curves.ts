import { figure, percent, whole } from '../format.js'
import type { Answers } from './answers.js'
import { type Chart, lineChart, type Point } from './chart.js'
import { type Html, html, table } from './html.js'
import type { Course } from './metrics.js'
import type { LossFigures } from './run-files.js'

/** The curves of a run and the figures of its validations. */
export function curves(course: Course, { accuracy, classes }: Answers): Html {
  const { steps, validations, stages, resumes, last } = course
  if (steps.length === 0 && validations.length === 0) return html`<p class="missing">No step was made yet.</p>`
  const training = (read: (event: (typeof steps)[number]) => number | undefined) => pointsOf(steps, read)
  const validation = (read: (event: (typeof validations)[number]) => number | undefined) => pointsOf(validations, read)
  const common = {
    range: [0, last?.step ?? 0] as const,
    marks: [
      ...stages.map(({ step, stage }) => ({ step, name: stage, kind: 'stage' as const })),
      ...resumes.map(({ step }) => ({ step, name: 'resumed', kind: 'resume' as const })),
    ],
  }
  const both = (
    title: string,
    scale: Chart['scale'],
    read: (event: LossFigures) => number | undefined,
    more: Partial<Chart> = {},
  ) =>
    lineChart({
      ...common,
      title,
      scale,
      series: [
        { name: 'training', kind: 'training', points: training(read) },
        { name: 'validation', kind: 'validation', points: validation(read) },
      ],
      ...more,
    })
  const alone = (title: string, scale: Chart['scale'], read: (event: (typeof steps)[number]) => number) =>
    lineChart({
      ...common,
      title,
      scale,
      small: true,
      series: [{ name: 'training', kind: 'training', points: training(read) }],
    })
  const perturbed = validations.findLast((event) => event.perturbed !== undefined)?.perturbed
  const ranked = validation((event) => event.auc)
  const diced = validation((event) => event.dice)
  return html`<div class="charts">
${
  diced.length > 0 &&
  lineChart({
    ...common,
    title: 'Mean Dice of held-out cases',
    scale: 'linear',
    series: [{ name: 'validation', kind: 'validation', points: diced }],
  })
}
${
  ranked.length > 0 &&
  lineChart({
    ...common,
    title: 'AUC on held-out images',
    scale: 'linear',
    series: [{ name: 'validation', kind: 'validation', points: ranked }],
    reference: { name: 'chance', value: 0.5 },
  })
}
${both('Restoration error (mean squared)', 'logarithmic', (event) => event.restoration, {
  reference: perturbed === undefined ? undefined : { name: 'perturbed input', value: perturbed },
})}
${both(`${accuracy[0]!.toUpperCase()}${accuracy.slice(1)}`, 'linear', (event) => event.accuracy, {
  reference: classes ? { name: 'chance', value: 1 / classes } : undefined,
  write: (share) => `${figure(Number((100 * share).toPrecision(3)))} %`,
})}
${both('Classification error (cross-entropy)', 'logarithmic', (event) => event.classification)}
${both('Loss (weighted sum)', 'logarithmic', (event) => event.loss)}
</div>
<div class="charts small">
${alone('Learning rate', 'logarithmic', (event) => event.learningRate)}
${alone('Gradient norm', 'logarithmic', (event) => event.gradientNorm)}
${alone('Speed (cubes a second)', 'linear', (event) => event.cubesPerSecond)}
</div>
<details><summary>Every validation as a table</summary>
${table(
  'Validations',
  [{ head: 'stage' }, ...heads.map((head) => ({ head, number: true })), { head: '' }],
  validations.map((event) => [
    event.stage,
    whole(event.epoch),
    whole(event.step),
    figure(event.loss),
    event.restoration !== undefined && figure(event.restoration),
    event.perturbed !== undefined && figure(event.perturbed),
    event.classification !== undefined && figure(event.classification),
    event.accuracy !== undefined && percent(event.accuracy),
    event.balancedAccuracy !== undefined && percent(event.balancedAccuracy),
    event.auc !== undefined && figure(event.auc),
    event.dice !== undefined && figure(event.dice),
    event.best && 'best so far',
  ]),
)}
</details>`
}

const heads = [
  'epoch',
  'step',
  'loss',
  'restoration',
  'perturbed input',
  'classification',
  'accuracy',
  'balanced accuracy',
  'AUC',
  'Dice',
]

function pointsOf<E extends { step: number }>(events: readonly E[], read: (event: E) => number | undefined): Point[] {
  return events.flatMap((event): Point[] => {
    const value = read(event)
    return value === undefined ? [] : [[event.step, value]]
  })
}
