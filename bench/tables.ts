import { bytes, figure, percent, whole } from '../src/format.js'

type Scalar = string | number | boolean | null
type Fields = Readonly<Record<string, unknown>>

/**
 * The figures of a benchmark as Markdown tables, whatever their form: single values under each other, objects that say the
 * same of several things (ours, PyTorch) beside each other, lists of objects as rows. Units follow from the names of the
 * fields: ...Seconds, ...Bytes, ...PerSecond, share.
 */
export function markdownTables(title: string, figures: unknown, level = 2): string {
  if (isRows(figures)) return rowsTable(title, figures, level)
  if (isMeasures(figures)) return section(level, title, measures(title, figures))
  if (!isFields(figures)) return section(level, title, `${cell(title, figures)}\n`)
  const entries = Object.entries(figures).filter(([, value]) => value !== undefined)
  const single = entries.filter(([, value]) => isCell(value))
  const nested = entries.filter(([, value]) => !isCell(value))
  const parts: string[] = []
  if (single.length > 0)
    parts.push(
      table(
        ['', ''],
        single.map(([key, value]) => [words(key), cell(key, value)]),
      ),
    )
  const beside = comparable(nested)
  if (beside.length > 1) parts.push(besideEachOther(beside))
  for (const [key, value] of nested) {
    if (!beside.some(([name]) => name === key)) parts.push(markdownTables(words(key), value, level + 1))
    else
      for (const [inner, rest] of Object.entries(withoutCells(value as Fields)))
        parts.push(markdownTables(`${words(key)}, ${words(inner)}`, rest, level + 2))
  }
  return section(level, title, parts.join('\n'))
}

/** A Markdown table whose columns are as wide as their longest cell: it reads well in a terminal, too. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = [head, ...rows].map((row) => row.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')))
  const widths = head.map((_, i) => Math.max(3, ...clean.map((row) => (row[i] ?? '').length)))
  const line = (row: readonly string[]) => `| ${widths.map((width, i) => (row[i] ?? '').padEnd(width)).join(' | ')} |\n`
  return line(clean[0]!) + line(widths.map((width) => '-'.repeat(width))) + clean.slice(1).map(line).join('')
}

const section = (level: number, title: string, content: string): string =>
  `${'#'.repeat(Math.min(6, level))} ${title}\n\n${content}`

/** A list of objects: what is a cell makes the columns, what is more follows under a heading of its own. */
function rowsTable(title: string, all: readonly Fields[], level: number): string {
  const rows = level > 3 ? longest(all) : all
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row).filter((key) => isCell(row[key]))))]
  const body = rows.map((row) => columns.map((key) => (row[key] === undefined ? '' : cell(key, row[key]))))
  const parts = [table(columns.map(words), body)]
  if (rows.length < all.length) parts.push(`${rows.length} of ${all.length}; all are in the JSON.\n`)
  for (const row of rows) {
    const rest = withoutCells(row)
    if (Object.keys(rest).length === 0) continue
    const name = columns.flatMap((key) => (typeof row[key] === 'string' ? [row[key]] : []))[0] ?? title
    const [only, ...others] = Object.entries(rest)
    parts.push(
      only && others.length === 0 ? markdownTables(name, only[1], level + 1) : markdownTables(name, rest, level + 1),
    )
  }
  return section(level, title, parts.join('\n'))
}

/** A list within a part of the figures is a detail: the items that take longest, or the first, stand for it. */
function longest(rows: readonly Fields[]): readonly Fields[] {
  if (rows.length <= mostDetails) return rows
  const seconds = ({ seconds }: Fields) => (typeof seconds === 'number' ? seconds : 0)
  return [...rows].sort((a, b) => seconds(b) - seconds(a)).slice(0, mostDetails)
}

const mostDetails = 20
/** Characters of a cell. */
const widest = 80

/** Those of the objects that share at least two fields with another. */
function comparable(nested: readonly (readonly [string, unknown])[]): (readonly [string, Fields])[] {
  const objects = nested.filter((entry): entry is [string, Fields] => isFields(entry[1]))
  const cells = (value: Fields) => Object.keys(value).filter((key) => isCell(value[key]))
  return objects.filter(([name, value]) =>
    objects.some(([other, its]) => other !== name && cells(value).filter((key) => key in its).length > 1),
  )
}

function besideEachOther(objects: readonly (readonly [string, Fields])[]): string {
  const keys = [...new Set(objects.flatMap(([, value]) => Object.keys(value).filter((key) => isCell(value[key]))))]
  return table(
    ['', ...objects.map(([name]) => words(name))],
    keys.map((key) => [
      words(key),
      ...objects.map(([, value]) => (value[key] === undefined ? '' : cell(key, value[key]))),
    ]),
  )
}

const measures = (title: string, values: Readonly<Record<string, number>>): string =>
  table(
    ['', ''],
    Object.entries(values).map(([name, value]) => [name, cell(title.split(', ').at(-1)!, value)]),
  )

const withoutCells = (value: Fields): Fields =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined && !isCell(item)))

const isScalar = (value: unknown): value is Scalar => value === null || typeof value !== 'object'
const isCell = (value: unknown): boolean => isScalar(value) || (Array.isArray(value) && value.every(isScalar))
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isMeasures = (value: unknown): value is Readonly<Record<string, number>> =>
  isFields(value) && Object.keys(value).length > 1 && Object.values(value).every((item) => typeof item === 'number')
const isRows = (value: unknown): value is readonly Fields[] =>
  Array.isArray(value) && value.length > 0 && value.every(isFields)

/** Fields that are seconds without saying so. */
const plainSeconds = new Set(['median', 'by operation'])

/** "peak" of "peakBytes", "cubes per second" of "cubesPerSecond": the cell carries the unit. */
function words(key: string): string {
  const named = key.replace(/(?<=[a-z])(Bytes|Seconds|Share)$/, '')
  return named.replace(/(?<=[a-z\d])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

/** A value as its field's name says. */
export function cell(key: string, value: unknown): string {
  if (typeof value === 'string' && value.length > widest) return `${value.slice(0, widest - 1)}…`
  if (Array.isArray(value)) return value.map((item) => cell(key, item)).join(', ')
  if (typeof value !== 'number') return String(value)
  if (!Number.isFinite(value)) return String(value)
  if (/bytes$/i.test(key)) return bytes(value)
  if (/seconds$/i.test(key) || plainSeconds.has(key)) return time(value)
  if (/^(flops|bytes)PerSecond$/.test(key))
    return `${(value / 1e9).toFixed(1)} G${key.startsWith('b') ? 'B' : 'FLOP'}/s`
  if (key === 'flops') return `${(value / 1e9).toFixed(2)} GFLOP`
  if (/share$/i.test(key)) return percent(value)
  return Number.isInteger(value) ? whole(value) : figure(value)
}

/** 12.3 µs, 4.56 ms, 1.234 s: four digits, as medians of a benchmark are compared. */
function time(seconds: number): string {
  const size = Math.abs(seconds)
  if (size >= 1 || size === 0) return `${Number(seconds.toPrecision(4))} s`
  if (size >= 1e-3) return `${Number((1e3 * seconds).toPrecision(4))} ms`
  return `${Number((1e6 * seconds).toPrecision(4))} µs`
}
