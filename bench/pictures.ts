/**
 * Draws the pictures of docs/performance.md and docs/scaling.md from the newest of the saved tables that hold most of what they show.
 *
 *   npm run pictures
 *   node dist/bench/pictures.js [--from bench/results] [--to docs/pictures]
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../src/engine/addon.js'
import { writeAtomically } from '../src/files.js'
import { counted, figure, percent } from '../src/format.js'
import { type Chart, lineDrawing, type Point } from '../src/report/chart.js'
import { type BarRow, barDrawing, picture } from '../src/report/picture.js'
import { type FoundReport, newestWith, readReports } from './reports.js'
import { cell } from './tables.js'
import type { Waterfall } from './waterfall.js'

const { values: options } = parseArgs({
  options: {
    from: { type: 'string', default: join(projectRoot(), 'bench/results') },
    to: { type: 'string', default: join(projectRoot(), 'docs/pictures') },
  },
})

/** What a picture needs of the figures of bench/step.ts. */
interface StepFigures {
  readonly batch: number
  readonly width: number
  readonly patch: readonly number[]
  readonly precision: string
  readonly ours: { readonly median: number }
  readonly waterfall: Waterfall
  readonly torch?: { readonly median: number; readonly version: string }
}

/** What a picture needs of the figures of bench/scale.ts. */
interface ScaleFigures {
  readonly terms: readonly {
    readonly term: string
    readonly law: string
    readonly points: readonly Readonly<Record<string, number>>[]
  }[]
}

async function save(name: string, svg: string): Promise<void> {
  const path = join(options.to, `${name}.svg`)
  await writeAtomically(path, svg)
  console.log(path)
}

function sourceOf({ file, report }: FoundReport): string {
  const { machine } = report
  return `${machine.gpus[0] ?? `${machine.cpu}, ${counted(machine.cores, 'core')}`}; bench/results/${file}`
}

const precisionName = (precision: string): string =>
  ({ fp32: 'float32', bf16: 'bfloat16', tf32: 'tf32' })[precision] ?? precision

const networkOf = ({ width, patch }: StepFigures): string => `Y-Net of width ${width}, cubes of ${patch.join('x')}`

/** Seconds of a step, ours above PyTorch's, for each precision and batch. */
function besidePyTorch(steps: readonly StepFigures[], found: FoundReport): string {
  const rows = steps.map(({ precision, batch, ours, torch }): BarRow => {
    const faster = torch ? `, ${(torch.median / ours.median).toFixed(2)}x as fast` : ''
    return {
      name: `${precisionName(precision)}, batch ${batch}`,
      bars: [
        { kind: 'validation', value: ours.median, text: `${cell('seconds', ours.median)}${faster}` },
        ...(torch ? [{ kind: 'training', value: torch.median, text: cell('seconds', torch.median) } as const] : []),
      ],
    }
  })
  const version = steps.flatMap(({ torch }) => (torch ? [torch.version] : []))[0]
  const legend = [{ kind: 'validation', name: 'semgen-native' } as const]
  return picture(
    {
      title: `Seconds of a training step (${networkOf(steps[0]!)})`,
      source: sourceOf(found),
      legend: version ? [...legend, { kind: 'training', name: `PyTorch ${version}` }] : legend,
    },
    [{ title: 'Median; shorter is faster', drawing: barDrawing(rows) }],
    1,
  )
}

/** Kinds of operations shown; what is less is summed. */
const shownOperations = 10

/** Seconds of the operations of one kind, and what they would take at the limit of arithmetic or memory. */
interface Spent {
  readonly seconds: number
  readonly limit: number
}

/** A step's time by kind of operation; what is in no operation has no limit. */
function spentBy({ operations, outsideSeconds }: Waterfall): Map<string, Spent> {
  const kinds = new Map<string, Spent>()
  for (const { operation, seconds, limitShare } of operations) {
    const before = kinds.get(operation) ?? { seconds: 0, limit: 0 }
    kinds.set(operation, { seconds: before.seconds + seconds, limit: before.limit + limitShare * seconds })
  }
  return kinds.set('in no operation', { seconds: Math.max(0, outsideSeconds), limit: 0 })
}

/** Where the time of the largest batch's step goes, in float32 and bfloat16. */
function byOperation(steps: readonly StepFigures[], found: FoundReport): string {
  const batch = Math.max(...steps.map((step) => step.batch))
  const largest = steps.filter((step) => step.batch === batch).slice(0, 2)
  const kinds = ['validation', 'training'] as const
  const spent = largest.map(({ waterfall }) => spentBy(waterfall))
  const most = (name: string) => Math.max(...spent.map((by) => by.get(name)?.seconds ?? 0))
  const names = [...new Set(spent.flatMap((by) => [...by.keys()]))].sort((a, b) => most(b) - most(a))
  const sumOf = (by: ReadonlyMap<string, Spent>, parts: readonly string[]): Spent =>
    parts.reduce(
      (sum, name) => ({
        seconds: sum.seconds + (by.get(name)?.seconds ?? 0),
        limit: sum.limit + (by.get(name)?.limit ?? 0),
      }),
      { seconds: 0, limit: 0 },
    )
  const row = (name: string, parts: readonly string[]): BarRow => ({
    name,
    bars: spent.map((by, i) => {
      const { seconds, limit } = sumOf(by, parts)
      const share = percent(seconds / largest[i]!.waterfall.seconds)
      const text = `${cell('seconds', seconds)}, ${share}${limit > 0 ? `; ${percent(limit / seconds)} of limit` : ''}`
      return { kind: kinds[i]!, value: seconds, text }
    }),
  })
  const rest = names.slice(shownOperations)
  const rows = names.slice(0, shownOperations).map((name) => row(name, [name]))
  if (rest.length > 0) rows.push(row(counted(rest.length, 'other'), rest))
  return picture(
    {
      title: `Where the time of a step goes (batch ${batch}, ${networkOf(largest[0]!)})`,
      source: sourceOf(found),
      legend: largest.map(({ precision }, i) => ({ kind: kinds[i]!, name: precisionName(precision) })),
    },
    [
      {
        title: "Each operation's time, its share of the step, and how much of the time the machine's limit would take",
        drawing: barDrawing(rows, 820, 190, 230),
      },
    ],
    1,
  )
}

/** The unit in which bytes have few digits: an axis is marked at round numbers of it. */
function byteUnit(most: number): { readonly name: string; readonly bytes: number } {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log2(most) / 10)))
  return { name: ['B', 'KiB', 'MiB', 'GiB'][power]!, bytes: 1024 ** power }
}

/** A panel a term: what was measured, and the law. */
function growth(title: string, terms: ScaleFigures['terms'], found: FoundReport): string {
  const panels = terms.flatMap(({ term, law, points }) => {
    const keys = Object.keys(points[0]!)
    const [against, measured, fitted] = ['', 'measured', 'fitted'].map((start) =>
      keys.find((key) => (start ? key.startsWith(start) : !/^(measured|fitted|deviation)/.test(key))),
    ) as [string, string, string]
    const unit = measured.endsWith('Bytes') ? byteUnit(Math.max(...points.map((point) => point[measured]!))) : undefined
    const along = (key: string) => points.map((point): Point => [point[against]!, point[key]! / (unit?.bytes ?? 1)])
    const chart: Chart = {
      title: term,
      scale: 'linear',
      range: [0, Math.max(...points.map((point) => point[against]!))],
      along: against,
      marks: [],
      small: true,
      fromZero: true,
      write: (value) => (unit ? `${figure(value)} ${unit.name}` : cell(measured, value)),
      series: [
        { name: 'law', kind: 'training', points: along(fitted) },
        { name: 'measured', kind: 'validation', points: along(measured) },
      ],
    }
    const drawing = lineDrawing(chart)
    return drawing ? [{ title: `${term.replace(/ by .*/, '')} = ${law}`, drawing }] : []
  })
  const legend = [
    { kind: 'validation', name: 'measured' },
    { kind: 'training', name: 'law' },
  ] as const
  return picture({ title, source: sourceOf(found), legend }, panels, 2)
}

const reports = await readReports(options.from)
await mkdir(options.to, { recursive: true })
const stepReport = newestWith(reports, 'step')
if (stepReport) {
  const steps = stepReport.figures as StepFigures[]
  await save('step', besidePyTorch(steps, stepReport))
  await save('operations', byOperation(steps, stepReport))
}
const scaleReport = newestWith(reports, 'scale')
if (scaleReport) {
  const { terms } = scaleReport.figures[0] as ScaleFigures
  const seconds = terms.filter(({ points }) => 'measuredSeconds' in points[0]!)
  await save('scaling-time', growth('How time grows', seconds, scaleReport))
  await save(
    'scaling-bytes',
    growth(
      'How memory and disk grow',
      terms.filter((term) => !seconds.includes(term)),
      scaleReport,
    ),
  )
}
if (!stepReport || !scaleReport)
  console.log(
    `${options.from} has no tables of ${stepReport ? 'bench scale' : 'bench step'}: its pictures stay as they were.`,
  )
