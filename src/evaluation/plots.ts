import { figure } from '../format.js'
import { type Html, html } from '../report/html.js'

const frame = { left: 46, right: 386, top: 14, bottom: 300, width: 400, height: 344 }

/** A curve of shares from 0 to 1, as ROC, precision and recall, or free response. */
export interface SharePlot {
  readonly title: string
  readonly along: string
  readonly up: string
  readonly points: readonly (readonly [x: number, y: number])[]
  /** Ticks along the horizontal axis, and where they lie from 0 to 1; default: shares themselves. */
  readonly ticks?: readonly { readonly text: string; readonly at: number }[]
  /** From the lower left to the upper right: what guessing would give. */
  readonly chance?: boolean
}

const shares = [0, 0.2, 0.4, 0.6, 0.8, 1].map((at) => ({ text: String(at), at }))

/** A square plot as SVG that takes its colours from the page. */
export function sharePlot({ title, along, up, points, ticks = shares, chance }: SharePlot): Html {
  const { left, right, top, bottom, width, height } = frame
  const x = (at: number) => (left + at * (right - left)).toFixed(1)
  const y = (at: number) => (bottom - at * (bottom - top)).toFixed(1)
  return html`<figure class="chart"><figcaption>${title}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${`${title}: ${up} by ${along}`}"><g class="grid">
${shares.map(({ text, at }) => html`<line x1="${left}" x2="${right}" y1="${y(at)}" y2="${y(at)}"/><text x="${left - 6}" y="${y(at)}" dy="4" text-anchor="end">${text}</text>\n`)}
${ticks.map(({ text, at }) => html`<line x1="${x(at)}" x2="${x(at)}" y1="${top}" y2="${bottom}"/><text x="${x(at)}" y="${bottom + 16}" text-anchor="middle">${text}</text>\n`)}
<text x="${(left + right) / 2}" y="${height - 6}" text-anchor="middle">${along}</text>
<text transform="translate(11 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${up}</text></g>
${chance && html`<line class="reference" x1="${x(0)}" y1="${y(0)}" x2="${x(1)}" y2="${y(1)}"/>`}
<polyline class="validation" points="${thinned(points)
    .map(([px, py]) => `${x(px)},${y(py)}`)
    .join(' ')}"/>
</svg></figure>`
}

/** Points that lie closer than a third of a pixel to the one kept before add nothing to see. */
function thinned(points: SharePlot['points']): SharePlot['points'] {
  const kept: (readonly [number, number])[] = []
  for (const [i, point] of points.entries()) {
    const last = kept.at(-1)
    if (!last || i === points.length - 1 || Math.hypot(point[0] - last[0], point[1] - last[1]) > 1e-3) kept.push(point)
  }
  return kept
}

/** Every case's value as a dot on a line an output, from 0 to 1, and their mean as a stroke. */
export function stripPlot(
  title: string,
  rows: readonly {
    readonly name: string
    readonly values: readonly { readonly id: string; readonly value: number }[]
  }[],
): Html {
  const [left, right, row] = [130, 780, 30]
  const bottom = 10 + rows.length * row
  const x = (at: number) => (left + at * (right - left)).toFixed(1)
  return html`<figure class="chart"><figcaption>${title}</figcaption>
<svg viewBox="0 0 800 ${bottom + 26}" role="img" aria-label="${title}"><g class="grid">
${shares.map(({ text, at }) => html`<line x1="${x(at)}" x2="${x(at)}" y1="6" y2="${bottom}"/><text x="${x(at)}" y="${bottom + 16}" text-anchor="middle">${text}</text>\n`)}</g>
${rows.map(({ name, values }, r) => {
  const middle = 10 + (r + 0.5) * row
  const mean = values.reduce((sum, { value }) => sum + value, 0) / values.length
  return html`<text x="${left - 8}" y="${middle}" dy="4" text-anchor="end">${name.length > 18 ? `${name.slice(0, 17)}…` : name}</text>
${values.map(({ id, value }, i) => html`<circle class="training" fill-opacity="0.55" r="3" cx="${x(value)}" cy="${(middle + ((i % 5) - 2) * 3).toFixed(1)}"><title>${id}: ${figure(value)}</title></circle>\n`)}
${values.length > 0 && html`<polyline class="validation" points="${x(mean)},${middle - 12} ${x(mean)},${middle + 12}"><title>mean ${figure(mean)}</title></polyline>`}`
})}
</svg></figure>`
}
