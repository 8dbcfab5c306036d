import { basename, resolve } from 'node:path'
import { counted, figure } from '../format.js'
import { documentOf } from '../report/document.js'
import { type Content, facts, type Html, html, name, table } from '../report/html.js'
import { type FigureName, figureNames } from './compare-maps.js'
import { outlineColours, overlays } from './overlay.js'
import { stripPlot } from './plots.js'
import { figureKeys, remarkableCases, type SegmentationResult } from './segmentation.js'
import type { Summary } from './summary.js'

/** Shares to four digits after the point, millimetres to two. */
const written = (key: FigureName, value: number): string => value.toFixed(key === 'hausdorff95' ? 2 : 4)

/** "0.8941 ± 0.0213" */
export function spread(key: FigureName, summary: Summary | undefined): string {
  if (!summary) return '–'
  const { mean, deviation } = summary
  return deviation === undefined ? written(key, mean) : `${written(key, mean)} ± ${written(key, deviation)}`
}

const interval = (key: FigureName, summary: Summary | undefined): string =>
  summary?.interval ? `${written(key, summary.interval[0])} to ${written(key, summary.interval[1])}` : '–'

/** An evaluation of label maps as one page that needs nothing else. */
export async function segmentationPage(result: SegmentationResult): Promise<string> {
  const { mean, cases, outputs, tolerance, predictions, truth, skipped, unmatched } = result
  const title = basename(resolve(predictions))
  const tiles = figureKeys.map(
    (
      key,
    ) => html`<div class="tile"><p class="label">${figureNames[key]}</p><p class="value">${mean[key] ? written(key, mean[key].mean) : '–'}</p>
<p>${mean[key]?.interval && `95 % interval ${interval(key, mean[key])}`}</p></div>`,
  )
  const sections: [id: string, title: string, content: Html][] = [
    ['outputs', 'Outputs', outputsSection(result)],
    ['cases-shown', 'Best, median and worst case', await picturesSection(result)],
    ['cases', 'Cases', casesSection(result)],
    ['rules', 'What the figures mean', rulesSection(tolerance)],
  ]
  const body = html`<header><p class="kind">semgen-native evaluation</p><h1>${name(title)}</h1>
<p>${counted(cases.length, 'case')}, ${counted(Object.keys(outputs).length, 'output')}. Means over cases, of each case’s mean over outputs.</p>
<div class="tiles">${tiles}</div></header>
<nav aria-label="Sections">${sections.map(([id, title]) => html`<a href="#${id}">${title}</a>`)}</nav>
<main>${sections.map(([id, title, content]) => html`<section id="${id}"><h2>${title}</h2>${content}</section>`)}
<section id="sources"><h2>Sources</h2>${facts([
    ['predictions', name(predictions)],
    ['truth', name(truth)],
    ['left out: cases without a prediction that can be compared', skipped.length],
    ['left out: predictions without a truth', unmatched.length],
  ])}
${leftOut(
  'Cases without a prediction that can be compared',
  skipped.map(({ reason }) => reason),
)}
${leftOut('Predictions without a truth', unmatched)}</section></main>`
  return documentOf(title, body)
}

const leftOut = (what: string, lines: readonly string[]): Content =>
  lines.length > 0 &&
  html`<details><summary>${what}</summary><ul>${lines.map((line) => html`<li>${name(line)}</li>\n`)}</ul></details>`

function outputsSection({ outputs, mean, cases }: SegmentationResult): Html {
  const entries = Object.entries(outputs)
  const row = (head: Content, figures: Readonly<Partial<Record<FigureName, Summary>>>): Content[] => [
    head,
    ...figureKeys.map((key) => spread(key, figures[key])),
  ]
  const rows = [
    ...entries.map(([output, { figures }]) => row(name(output), figures)),
    ...(entries.length > 1 ? [row('mean over outputs', mean)] : []),
  ]
  return html`${table(
    'Mean and standard deviation over cases',
    [{ head: 'output' }, ...figureKeys.map((key) => ({ head: figureNames[key], number: true }))],
    rows,
  )}
${stripPlot(
  'Dice of every case, and its mean',
  entries.map(([output]) => ({
    name: output,
    values: cases.flatMap(({ id, outputs }) => {
      const value = outputs[output]!.dice
      return value === undefined ? [] : [{ id, value }]
    }),
  })),
)}
<details><summary>Medians, extremes, intervals, and all voxels together</summary>
${table(
  'More about each output',
  ['output', 'figure', 'cases', 'mean', '95 % interval of the mean', 'median', 'least', 'most'].map((head, i) => ({
    head,
    number: i > 1,
  })),
  entries.flatMap(([output, { figures }]) =>
    figureKeys.map((key): Content[] => {
      const one = figures[key]
      return [
        name(output),
        figureNames[key],
        one?.count ?? 0,
        ...(one
          ? [written(key, one.mean), interval(key, one), ...[one.median, one.min, one.max].map((v) => written(key, v))]
          : ['–', '–', '–', '–', '–']),
      ]
    }),
  ),
)}
${table(
  'States of cases, and the voxels of all cases together',
  [
    'output',
    'both masks',
    'truth empty',
    'prediction empty',
    'both empty',
    'pooled Dice',
    'pooled IoU',
    'pooled legacyMeanIoU',
  ].map((head, i) => ({ head, number: i > 0 })),
  entries.map(([output, { states, pooled }]) => [
    name(output),
    states.compared,
    states['truth empty'],
    states['prediction empty'],
    states['both empty'],
    pooled.dice?.toFixed(4) ?? '–',
    pooled.iou?.toFixed(4) ?? '–',
    pooled.legacyMeanIoU.toFixed(4),
  ]),
)}</details>`
}

async function picturesSection(result: SegmentationResult): Promise<Html> {
  const shown = remarkableCases(result)
  if (shown.length === 0) return html`<p class="missing">No case has a mask in truth or prediction.</p>`
  const outputs = Object.entries(result.outputs).map(([name, { labels }]) => ({ name, ...labels }))
  const cards: Html[] = []
  // One after another: a case may be a large scan.
  for (const { what, of } of shown)
    cards.push(
      html`<article class="card"><h3>${what}: ${name(of.id)}</h3>
<p>Dice ${figure(of.mean.dice!)}, IoU ${figure(of.mean.iou!)}, surface Dice ${figure(of.mean.surfaceDice!)}, 95 % Hausdorff ${figure(of.mean.hausdorff95!)} mm${of.note !== undefined && html`; ${name(of.note)}`}</p>
${await overlays(of, outputs)}</article>`,
    )
  const key = (colour: readonly number[], text: string) =>
    html`<span class="key" style="${`background:#000;color:rgb(${colour.join()});padding:0 .6em;border-radius:3px`}">${text}</span> `
  return html`<p>Outlines: ${key(outlineColours.truth, 'truth')}${key(outlineColours.prediction, 'prediction')}${key(outlineColours.both, 'both')}
In each plane the slice that holds most of both. The patient’s right is on the left, in the sagittal plane the front.</p>
<div class="cards" style="grid-template-columns:minmax(0,1fr)">${cards}</div>`
}

function casesSection({ cases }: SegmentationResult): Html {
  const rows = cases.flatMap((of) =>
    Object.entries(of.outputs).map(([output, figures]) => ({ of, output, figures, dice: figures.dice ?? 2 })),
  )
  rows.sort((a, b) => a.dice - b.dice)
  return html`<p>The worst first; the same in cases.csv.</p>
<details><summary>Every case and output</summary>
${table(
  'Cases',
  [
    { head: 'case' },
    { head: 'output' },
    ...figureKeys.map((key) => ({ head: figureNames[key], number: true })),
    { head: 'truth, ml', number: true },
    { head: 'prediction, ml', number: true },
    { head: '' },
  ],
  rows.map(({ of, output, figures }) => [
    name(of.id),
    name(output),
    ...figureKeys.map((key) => (figures[key] === undefined ? '–' : written(key, figures[key]))),
    figure(figures.truthMl),
    figure(figures.predictionMl),
    of.note !== undefined ? name(of.note) : figures.state !== 'compared' && figures.state,
  ]),
)}</details>`
}

function rulesSection(tolerance: number): Html {
  return html`<ul>
<li>Dice and IoU count voxels of the label maps, that is, at a probability of one half. legacyMeanIoU is what the method’s
published code calls IoU: foreground and background averaged, at thresholds from 0.5 to 0.95. It reads higher; compare it with
published figures alone. Where probabilities are not beside the predictions, all thresholds are that of the label map.</li>
<li>A surface is the voxels of a mask with a neighbour outside. Surface Dice is the share of both surfaces within ${figure(tolerance)} mm of
the other; the Hausdorff distance is the larger of both directions’ 95 % quantiles.</li>
<li>Where truth and prediction are both empty there is no figure, and the case does not count for that output. Where one of them is,
overlap and surface Dice are 0 and the Hausdorff distance is the diagonal of the image.</li>
<li>Intervals are percentile bootstraps of the mean over cases.</li></ul>`
}
