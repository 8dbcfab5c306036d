import { basename, resolve } from 'node:path'
import { figure, range, three } from '../format.js'
import { documentOf } from '../report/document.js'
import { facts, html, name, table } from '../report/html.js'
import type { DetectionResult } from './detection.js'
import { sharePlot } from './plots.js'

/** Rates are drawn by their logarithm, from the first to the last at which sensitivity is read. */
const along = (rates: readonly number[]) => {
  const [low, high] = [Math.log2(rates[0]!), Math.log2(rates.at(-1)!)]
  return (rate: number) => (Math.log2(rate) - low) / (high - low)
}

/** An evaluation of marks as one page that needs nothing else. */
export function detectionPage({ predictions, truth, froc, rates, finds, outside }: DetectionResult): string {
  const title = basename(resolve(predictions))
  const at = along(rates)
  const missed = finds.flatMap(({ nodules }) => nodules.filter(({ score }) => score === undefined))
  const inside = froc.curve.filter(({ falsePositives }) => falsePositives > rates[0]! && falsePositives < rates.at(-1)!)
  const points = [
    ...inside.map(({ falsePositives, sensitivity }) => [at(falsePositives), sensitivity] as const),
    ...froc.sensitivities.map((sensitivity, i) => [at(rates[i]!), sensitivity] as const),
  ].sort((a, b) => a[0] - b[0] || a[1] - b[1])
  const body = html`<header><p class="kind">semgen-native evaluation</p><h1>${name(title)}</h1>
<div class="tiles">
<div class="tile"><p class="label">mean sensitivity</p><p class="value">${three(froc.mean)}</p><p>${froc.interval && `95 % interval ${range(froc.interval)}`}</p></div>
<div class="tile"><p class="label">nodules with any mark</p><p class="value">${froc.found} of ${froc.nodules}</p><p>in ${froc.scans} scans</p></div>
</div></header>
<main><section id="froc"><h2>Sensitivity by false positives a scan</h2>
${table(
  'Sensitivities',
  [{ head: 'false positives a scan' }, ...rates.map((rate) => ({ head: rateText(rate), number: true }))],
  [['sensitivity', ...froc.sensitivities.map(three)]],
)}
<div class="charts">${sharePlot({
    title: 'Free-response curve',
    along: 'false positives a scan',
    up: 'sensitivity',
    points,
    ticks: rates.map((rate) => ({ text: rateText(rate), at: at(rate) })),
  })}</div>
<p>A nodule is found by a mark nearer to its centre than its radius, and counts once, with its highest mark; further marks of it, and
marks in regions to ignore, count for nothing. The mean over the seven rates is LUNA16’s score. Its interval redraws scans.</p></section>
<section id="missed"><h2>Nodules without a mark</h2>
${
  missed.length === 0
    ? html`<p>None.</p>`
    : html`<details><summary>${missed.length} of them</summary>${table(
        'Nodules without a mark',
        [{ head: 'scan' }, ...['x', 'y', 'z', 'diameter, mm'].map((head) => ({ head, number: true }))],
        missed.map(({ nodule }) => [name(nodule.scan), ...nodule.centre.map(figure), figure(2 * nodule.radius)]),
      )}</details>`
}</section>
<section id="sources"><h2>Sources</h2>${facts([
    ['marks', name(predictions)],
    ['nodules', name(truth)],
    ['left out: marks of other scans', outside.marks],
    ['left out: nodules of other scans', outside.nodules],
  ])}</section></main>`
  return documentOf(title, body)
}

/** 1/8, 1/4, 1/2, 1, 2, ... */
const rateText = (rate: number): string => (rate < 1 ? `1/${1 / rate}` : String(rate))
