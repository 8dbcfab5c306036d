import { readFile, stat } from 'node:fs/promises'
import { parse } from 'csv-parse/sync'
import { reason, SemgenError, shown } from '../errors.js'
import { scanName } from '../volumes/index.js'

/** A .csv with a row of names on top. */
export interface Table {
  readonly path: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** Longer than LUNA16's three quarters of a million candidates, and what memory holds. */
const mostBytes = 256 * 2 ** 20

/** @throws SemgenError IO when it cannot be read, BAD_FILE when it is too large, no table, or names a column twice */
export async function readTable(path: string): Promise<Table> {
  let all: string[][]
  try {
    const { size } = await stat(path)
    if (size > mostBytes) throw new SemgenError('BAD_FILE', `${path} is ${size} bytes; ${mostBytes} are the most.`)
    all = parse(await readFile(path, 'utf8'), { skip_empty_lines: true, trim: true, bom: true })
  } catch (error) {
    if (error instanceof SemgenError) throw error
    const code = (error as NodeJS.ErrnoException).syscall ? 'IO' : 'BAD_FILE'
    throw new SemgenError(code, `${path} could not be read as a table: ${reason(error)}.`, { cause: error })
  }
  const [columns = [], ...rows] = all
  const twice = columns.find((name, i) => columns.indexOf(name) !== i)
  if (twice !== undefined) throw new SemgenError('BAD_FILE', `${path} has two columns named ${shown(twice)}.`)
  return { path, columns, rows }
}

/** What a column may be called, without regard to capitals. @returns its place, or undefined */
export function placeOf({ columns }: Table, names: readonly string[]): number | undefined {
  for (const name of names) {
    const place = columns.findIndex((column) => column.toLowerCase() === name.toLowerCase())
    if (place >= 0) return place
  }
  return undefined
}

/** @throws SemgenError BAD_FILE, telling what there is and what there should be */
export function needPlace(table: Table, names: readonly string[]): number {
  const place = placeOf(table, names)
  if (place !== undefined) return place
  throw new SemgenError(
    'BAD_FILE',
    `${table.path} has the columns ${table.columns.join(', ') || 'none'}, and none of them is ${names.join(' or ')}.`,
  )
}

/** A finite number. @throws SemgenError BAD_FILE, naming the row and the column */
export function numberAt(table: Table, row: number, place: number): number {
  const text = table.rows[row]![place]!
  const value = text === '' ? Number.NaN : Number(text)
  if (Number.isFinite(value)) return value
  throw new SemgenError(
    'BAD_FILE',
    `${table.path}, row ${row + 2}: ${table.columns[place]} is ${shown(text)}, and a finite number is expected.`,
  )
}

export const idColumns = ['id', 'case', 'image', 'path', 'name', 'seriesuid']

/** Cases by name: a file's without its ending. @throws SemgenError BAD_FILE when two rows are of one case, or one is of none */
export function rowsById(table: Table): Map<string, number> {
  const place = needPlace(table, idColumns)
  const rows = new Map<string, number>()
  for (const [row, cells] of table.rows.entries()) {
    const id = scanName(cells[place]!)
    if (id === '') throw new SemgenError('BAD_FILE', `${table.path}, row ${row + 2}: ${table.columns[place]} is empty.`)
    if (rows.has(id)) throw new SemgenError('BAD_FILE', `${table.path} has two rows of the case ${shown(id)}.`)
    rows.set(id, row)
  }
  return rows
}

/** A .csv's text: cells are quoted where they need it. */
export function writtenTable(
  columns: readonly string[],
  rows: readonly (readonly (string | number | undefined)[])[],
): string {
  const cell = (value: string | number | undefined) => {
    const text = value === undefined ? '' : String(value)
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return `${[columns, ...rows].map((row) => row.map(cell).join(',')).join('\n')}\n`
}
