import { figure, whole } from '../format.js'
import { type Html, html } from './html.js'

export interface Series {
  readonly name: string
  /** Of the style sheet: `training` is a thin line, the others have a mark at each point. */
  readonly kind: 'training' | 'validation' | 'third' | 'fourth'
  readonly points: readonly Point[]
}

export type Point = readonly [x: number, y: number]

export interface Chart {
  readonly title: string
  readonly series: readonly Series[]
  readonly scale: 'linear' | 'logarithmic'
  /** Ends of the horizontal axis. */
  readonly range: readonly [number, number]
  /** What the horizontal axis counts: optimizer steps, unless told. */
  readonly along?: string
  /** A horizontal line to compare with: chance, or the error without restoring. */
  readonly reference?: { readonly name: string; readonly value: number } | undefined
  /** Vertical lines: where a stage begins, where a run was resumed. */
  readonly marks: readonly { readonly step: number; readonly name: string; readonly kind: 'stage' | 'resume' }[]
  /** A smaller one, of which three fit beside each other. */
  readonly small?: boolean
  /** Whether the vertical axis begins at 0, where it is linear. */
  readonly fromZero?: boolean
  /** How a value is written. */
  readonly write?: (value: number) => string
}

const large = { width: 640, height: 250 }
const compact = { width: 400, height: 200 }

/** Where a chart's values lie on its drawing. */
interface Frame {
  readonly width: number
  readonly height: number
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
  x(step: number): string
  y(value: number): string
}

/** What is inside of a chart's <svg>, and how large that is. */
export interface Drawing {
  readonly width: number
  readonly height: number
  readonly content: Html
  /** The same in words. */
  readonly told: string
}

/** A line chart as SVG that takes its colours from the page: sharp at any size and on paper, without a script. */
export function lineChart(chart: Chart): Html {
  const { title, write = figure } = chart
  const drawing = lineDrawing(chart)
  if (!drawing) return html``
  const { width, height, content, told } = drawing
  return html`<figure class="chart">
<figcaption>${title}${legend(drawnSeries(chart), drawnReference(chart), write)}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${`${title}. ${told}`}">
${content}
</svg>
</figure>`
}

/** The drawing of a line chart alone, without its title and legend; undefined where there is nothing to draw. */
export function lineDrawing(chart: Chart): Drawing | undefined {
  const { scale, range, marks, small = false, fromZero = false, write = figure, along = 'steps' } = chart
  const series = drawnSeries(chart)
  const reference = drawnReference(chart)
  const values = series.flatMap(({ points }) => points.map(([, y]) => y))
  if (values.length === 0) return undefined
  if (reference) values.push(reference.value)
  if (fromZero && scale === 'linear') values.push(0)
  const axis = scale === 'logarithmic' ? logarithmicAxis(values) : linearAxis(values)
  const frame = frameOf(small ? compact : large, range, axis)
  const content = html`${grid(frame, axis, range, write, along)}
${marks.map((mark) => verticalLine(frame, mark))}
${reference && horizontalLine(frame, frame.y(reference.value), 'reference')}
${series.map(({ kind, points }) =>
  stretches(points, marks).map((stretch) => [
    stretch.length > 1 && polyline(frame, kind, stretch),
    (kind !== 'training' || stretch.length === 1) && stretch.map((point) => dot(frame, kind, point, write)),
  ]),
)}`
  const told = series.map(({ name, points }) => summary(name, points, write)).join(' ')
  return { width: frame.width, height: frame.height, content, told }
}

const drawnSeries = ({ series, scale }: Chart): Series[] =>
  series.map((one) => ({ ...one, points: thinned(one.points.filter(([, y]) => drawable(y, scale))) }))

/** A logarithmic axis has no place for 0: an auto-encoder's input is not perturbed. */
const drawnReference = ({ reference, scale }: Chart): Chart['reference'] =>
  reference && drawable(reference.value, scale) ? reference : undefined

function frameOf(size: typeof large, [first, last]: Chart['range'], axis: Axis): Frame {
  const [left, right, top, bottom] = [62, size.width - 18, 22, size.height - 34]
  return {
    ...size,
    ...{ left, right, top, bottom },
    x: (step) => (left + ((step - first) / Math.max(1, last - first)) * (right - left)).toFixed(1),
    y: (value) => (bottom - axis.place(value) * (bottom - top)).toFixed(1),
  }
}

function grid(
  frame: Frame,
  axis: Axis,
  [first, last]: Chart['range'],
  write: (value: number) => string,
  along: string,
): Html {
  const { left, right, bottom, height, x, y } = frame
  const steps = linearAxis([first, Math.max(first + 1, last)]).ticks
  return html`<g class="grid">${axis.ticks.map(
    (tick) =>
      html`${horizontalLine(frame, y(tick), '')}<text x="${left - 8}" y="${y(tick)}" dy="4" text-anchor="end">${write(tick)}</text>\n`,
  )}${steps
    .filter((tick) => tick >= first && tick <= last && Number.isInteger(tick))
    .map((tick) => html`<text x="${x(tick)}" y="${bottom + 18}" text-anchor="middle">${whole(tick)}</text>`)}
<text x="${right}" y="${height - 2}" text-anchor="end">${along}</text></g>`
}

const horizontalLine = ({ left, right }: Frame, y: string, kind: string): Html =>
  html`<line class="${kind}" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/>`

function verticalLine({ x, top, bottom }: Frame, { step, name, kind }: Chart['marks'][number]): Html {
  return html`<g class="mark ${kind}"><line x1="${x(step)}" x2="${x(step)}" y1="${top - 8}" y2="${bottom}"/>
${kind === 'stage' && html`<text x="${x(step)}" dx="4" y="${top - 8}">${name}</text>`}<title>${name}, step ${whole(step)}</title></g>`
}

const polyline = ({ x, y }: Frame, kind: string, points: readonly Point[]): Html =>
  html`<polyline class="${kind}" points="${points.map(([step, value]) => `${x(step)},${y(value)}`).join(' ')}"/>\n`

const dot = ({ x, y }: Frame, kind: string, [step, value]: Point, write: (value: number) => string): Html =>
  html`<circle class="${kind}" cx="${x(step)}" cy="${y(value)}" r="3"><title>step ${whole(step)}: ${write(value)}</title></circle>\n`

/** A line's parts, one a stage: between two stages the figures change their meaning. */
function stretches(points: readonly Point[], marks: Chart['marks']): (readonly Point[])[] {
  const limits = marks.filter(({ kind }) => kind === 'stage').map(({ step }) => step)
  const stageOf = (step: number) => limits.filter((limit) => step > limit).length
  return [...limits, 0].map((_, stage) => points.filter(([step]) => stageOf(step) === stage))
}

const drawable = (value: number, scale: Chart['scale']): boolean =>
  Number.isFinite(value) && (scale === 'linear' || value > 0)

function legend(series: readonly Series[], reference: Chart['reference'], write: (value: number) => string): Html {
  return html`<span class="legend">${series
    .filter(({ points }) => points.length > 0)
    .map(
      ({ name, kind, points }) =>
        html`<span class="key ${kind}">${name} <output>${write(points.at(-1)![1])}</output></span>`,
    )}${reference && html`<span class="key reference">${reference.name} <output>${write(reference.value)}</output></span>`}</span>`
}

function summary(name: string, points: readonly Point[], write: (value: number) => string): string {
  const [first] = points
  const last = points.at(-1)
  if (!first || !last) return ''
  return `${name}: from ${write(first[1])} at step ${whole(first[0])} to ${write(last[1])} at step ${whole(last[0])}.`
}

/** At most this many points a line: more cannot be told apart at the chart's width. */
const mostPoints = 500

/** A long line shortened to the means of equal shares of its points. */
export function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= mostPoints) return points
  return Array.from({ length: mostPoints }, (_, i): Point => {
    const share = points.slice(
      Math.floor((i * points.length) / mostPoints),
      Math.floor(((i + 1) * points.length) / mostPoints),
    )
    return [share.at(-1)![0], share.reduce((sum, [, value]) => sum + value, 0) / share.length]
  })
}

interface Axis {
  readonly ticks: readonly number[]
  /** 0 at the lower end, 1 at the upper. */
  place(value: number): number
}

/** About five round numbers that enclose the values. */
export function linearAxis(values: readonly number[]): Axis {
  const low = Math.min(...values)
  const high = Math.max(...values)
  const span = high - low || Math.abs(high) || 1
  const power = 10 ** Math.floor(Math.log10(span / 4))
  const unit = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => span / candidate <= 5)!
  const from = Math.floor(low / unit + 1e-9)
  const to = Math.max(from + 1, Math.ceil(high / unit - 1e-9))
  return {
    ticks: Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * unit).toPrecision(12))),
    place: (value) => (value / unit - from) / (to - from),
  }
}

/** Powers of ten, with 2 and 5 between them where there are few. */
export function logarithmicAxis(values: readonly number[]): Axis {
  const low = Math.log10(Math.min(...values))
  const high = Math.log10(Math.max(...values))
  const steps = high - low > 3 ? [1] : [1, 2, 5]
  const all: number[] = []
  for (let power = Math.floor(low) - 1; power <= Math.ceil(high) + 1; power++)
    for (const step of steps) all.push(Number((step * 10 ** power).toPrecision(12)))
  const from = all.findLast((tick) => Math.log10(tick) <= low + 1e-9)!
  const to = all.find((tick) => tick > from && Math.log10(tick) >= high - 1e-9)!
  const inside = all.filter((tick) => tick >= from && tick <= to)
  // Seven labels fit; a run over many decades skips some.
  const stride = Math.ceil((inside.length - 1) / 6)
  return {
    ticks: inside.filter((_, i) => i % stride === 0),
    place: (value) => (Math.log10(value) - Math.log10(from)) / (Math.log10(to) - Math.log10(from)),
  }
}
