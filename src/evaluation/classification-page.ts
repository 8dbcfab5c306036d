import { basename, resolve } from 'node:path'
import { counted, range, three } from '../format.js'
import { documentOf } from '../report/document.js'
import { type Content, facts, type Html, html, name, table } from '../report/html.js'
import type { ClassificationResult, Rankings } from './classification.js'
import { sharePlot } from './plots.js'

/** Classes whose curves are drawn. */
const mostCurves = 16

/** An evaluation of scores as one page that needs nothing else. */
export function classificationPage(result: ClassificationResult, rankings: Rankings): string {
  const { classes, mean, accuracy, cases, predictions, truth, skipped, unmatched, confusion, kind } = result
  const title = basename(resolve(predictions))
  const only = Object.keys(classes).length === 1 ? Object.values(classes)[0] : undefined
  const tiles: (readonly [string, string, Content])[] = [
    [only ? 'AUC' : 'mean AUC', three(mean.auc), only?.interval && `95 % interval ${range(only.interval)}`],
    [only ? 'average precision' : 'mean average precision', three(mean.averagePrecision), undefined],
    ['accuracy', three(accuracy), kind === 'multiple' && 'several classes may be true'],
  ]
  const body = html`<header><p class="kind">semgen-native evaluation</p><h1>${name(title)}</h1><p>${counted(cases.length, 'case')}.</p>
<div class="tiles">${tiles.map(([label, value, more]) => html`<div class="tile"><p class="label">${label}</p><p class="value">${value}</p><p>${more}</p></div>`)}</div></header>
<main><section id="classes"><h2>Classes</h2>
${table(
  'Classes',
  [
    'class',
    'positives',
    'negatives',
    'AUC',
    '95 % interval',
    'average precision',
    'sensitivity',
    'specificity',
    '',
  ].map((head, i) => ({ head, number: i > 0 && i < 8 })),
  Object.entries(classes).map(([of, figures]) => [
    name(of),
    figures.positives,
    figures.negatives,
    three(figures.auc),
    range(figures.interval),
    three(figures.averagePrecision),
    three(figures.sensitivity),
    three(figures.specificity),
    figures.note,
  ]),
)}
<p>AUC with DeLong’s interval; average precision without interpolation. Sensitivity and specificity are of ${
    kind === 'exclusive' ? 'calling the class of the highest score' : 'calling what scores above one half'
  }.</p></section>
${confusion && html`<section id="confusion"><h2>What is called what</h2>${confusionTable(confusion)}</section>`}
<section id="curves"><h2>Curves</h2><div class="charts small">${[...rankings]
    .slice(0, mostCurves)
    .map(([of, { curve }]) => [
      sharePlot({
        title: `${of}: ROC`,
        along: '1 − specificity',
        up: 'sensitivity',
        chance: true,
        points: curve.map(({ falsePositiveRate, sensitivity }) => [falsePositiveRate, sensitivity]),
      }),
      sharePlot({
        title: `${of}: precision and recall`,
        along: 'recall',
        up: 'precision',
        points: curve.map(({ sensitivity, precision }) => [sensitivity, precision]),
      }),
    ])}</div></section>
<section id="sources"><h2>Sources</h2>${facts([
    ['predictions', name(predictions)],
    ['truth', name(truth)],
    ['left out: cases without a prediction', skipped.length],
    ['left out: predictions without a truth', unmatched.length],
  ])}</section></main>`
  return documentOf(title, body)
}

function confusionTable(confusion: NonNullable<ClassificationResult['confusion']>): Html {
  const names = Object.keys(confusion)
  return table(
    'Cases by what is true and what is called',
    [{ head: 'true' }, ...names.map((of) => ({ head: `called ${of}`, number: true }))],
    names.map((of) => [name(of), ...names.map((other) => confusion[of]![other]!)]),
  )
}
