import { SemgenError, shown } from '../errors.js'
import type { Table } from '../table.js'
import { scanName } from '../volumes/index.js'

export { readTable, type Table } from '../table.js'

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
    `${table.path}, row ${table.lines[row]}: ${table.columns[place]} is ${shown(text)}, and a finite number is expected.`,
  )
}

export const idColumns = ['id', 'case', 'image', 'path', 'name', 'seriesuid']

/** Cases by name: a file's without its ending. @throws SemgenError BAD_FILE when two rows are of one case, or one is of none */
export function rowsById(table: Table): Map<string, number> {
  const place = needPlace(table, idColumns)
  const rows = new Map<string, number>()
  for (const [row, cells] of table.rows.entries()) {
    const id = scanName(cells[place]!)
    if (id === '')
      throw new SemgenError('BAD_FILE', `${table.path}, row ${table.lines[row]}: ${table.columns[place]} is empty.`)
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
