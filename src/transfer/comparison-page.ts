import { figure, percent } from '../format.js'
import { lineChart, type Series } from '../report/chart.js'
import { documentOf } from '../report/document.js'
import { type Html, html, table } from '../report/html.js'
import type { StartSummary } from './comparison.js'
import type { PublishedTask } from './published.js'
import type { Measure } from './target-task.js'

const kinds: readonly Series['kind'][] = ['training', 'validation', 'third', 'fourth']
/** What a measure is called: in the middle of a sentence, and at its beginning. */
const names: Record<Measure, { readonly short: string; readonly title: string }> = {
  dice: { short: 'Dice', title: 'Mean Dice' },
  auc: { short: 'AUC', title: 'AUC' },
}
const columnsOf = (measure: Measure) => [
  'start',
  'labelled cases',
  'runs',
  `mean ${names[measure].short}`,
  'sd',
  'least',
  'most',
  'difference',
  '95 % interval',
  'p',
]

/** A comparison of starts as one page that needs nothing else, as a run's report. */
export function comparisonPage(
  title: string,
  summaries: readonly StartSummary[],
  measure: Measure,
  beside?: PublishedTask,
): string {
  const fractions = [...new Set(summaries.map(({ labelFraction }) => labelFraction))]
  const starts = [...new Set(summaries.map(({ start }) => start))]
  const body = html`<header><p class="kind">semgen-native comparison of starts</p><h1>${title}</h1></header>
<main><section id="table"><h2>${names[measure].short} on cases that nothing was chosen by</h2>
${table(
  'Starts',
  columnsOf(measure).map((head, i) => ({ head, number: i > 0 })),
  summaries.map(cells),
)}
<p>Differences are to ${starts[0]}; their intervals are percentile bootstraps over runs, p is that of an independent two-sample t-test.</p></section>
${
  beside &&
  html`<section id="published"><h2>As published</h2>
${table(
  'Published',
  publishedColumns.map((head, i) => ({ head, number: i > 0 })),
  publishedRows(beside),
)}
<p>${beside.measure}</p></section>`
}
${
  fractions.length > 1 &&
  html`<section id="labels"><h2>What labels cost</h2><div class="charts">${lineChart({
    title: `${names[measure].title} by labelled cases`,
    scale: 'linear',
    along: 'labelled cases',
    range: [0, Math.max(...summaries.map(({ labelledCases }) => labelledCases))],
    marks: [],
    series: starts.slice(0, kinds.length).map((start, i) => ({
      name: start,
      kind: kinds[i]!,
      points: summaries
        .filter((one) => one.start === start)
        .map((one) => [one.labelledCases, one.mean] as const)
        .sort((a, b) => a[0] - b[0]),
    })),
  })}</div></section>`
}
<section id="curves"><h2>How fast they learn</h2><div class="charts">${fractions.map((fraction) =>
    curvesOf(fraction, summaries, starts, names[measure].title),
  )}</div></section></main>`
  return documentOf(title, body)
}

const publishedColumns = ['published start', 'mean, %', 'sd']
const publishedRows = ({ starts }: PublishedTask): string[][] =>
  starts.map(([start, mean, deviation]) => [start, mean.toFixed(2), deviation?.toFixed(2) ?? ''])

/** The same tables in Markdown. */
export function comparisonTable(summaries: readonly StartSummary[], measure: Measure, beside?: PublishedTask): string {
  const own = markdown(columnsOf(measure), summaries.map(cells))
  return beside ? `${own}\n${markdown(publishedColumns, publishedRows(beside))}\n${beside.measure}\n` : own
}

function markdown(columns: readonly string[], rows: readonly string[][]): string {
  const row = (parts: readonly string[]) => `| ${parts.map((part) => part.replaceAll('|', '\\|')).join(' | ')} |`
  return `${[row(columns), row(columns.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')}\n`
}

function cells({ start, labelledCases, values, mean, deviation, against }: StartSummary): string[] {
  const four = (value: number) => value.toFixed(4)
  return [
    start,
    String(labelledCases),
    String(values.length),
    four(mean),
    four(deviation),
    four(Math.min(...values)),
    four(Math.max(...values)),
    against ? `${against.difference < 0 ? '−' : '+'}${four(Math.abs(against.difference))}` : '',
    against ? `${four(against.interval[0])} to ${four(against.interval[1])}` : '',
    against?.p === undefined ? '' : figure(Number(against.p.toPrecision(2))),
  ]
}

function curvesOf(
  fraction: number,
  summaries: readonly StartSummary[],
  starts: readonly string[],
  measure: string,
): Html {
  const here = summaries.filter(({ labelFraction }) => labelFraction === fraction)
  return lineChart({
    title: `${measure} of held-out cases, ${here[0]!.labelledCases} labelled (${percent(fraction)})`,
    scale: 'linear',
    range: [0, Math.max(...here.flatMap(({ curve }) => curve.map(([step]) => step)), 1)],
    marks: [],
    series: here.flatMap(({ start, curve }) => {
      const kind = kinds[starts.indexOf(start)]
      return kind ? [{ name: start, kind, points: curve }] : []
    }),
  })
}
