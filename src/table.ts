import { readFile, stat } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { reason, SemgenError, shown } from './errors.js'

/** A .csv with a row of names on top. */
export interface Table {
  readonly path: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** The line of the file that each row is on, for messages: empty lines are passed over, so rows cannot be counted for it. */
  readonly lines: readonly number[]
}

/** Longer than LUNA16's three quarters of a million candidates, and what memory holds. */
const mostBytes = 256 * 2 ** 20

/** @throws SemgenError IO when it cannot be read, BAD_FILE when it is too large, no table, or names a column twice */
export async function readTable(path: string): Promise<Table> {
  let all: { record: string[]; info: { lines: number } }[]
  try {
    const { size } = await stat(path)
    if (size > mostBytes) throw new SemgenError('BAD_FILE', `${path} is ${size} bytes; ${mostBytes} are the most.`)
    const options = { skip_empty_lines: true, trim: true, bom: true, info: true }
    all = parse(plain(await readFile(path)), options) as unknown as typeof all
  } catch (error) {
    if (error instanceof SemgenError) throw error
    const code = (error as NodeJS.ErrnoException).syscall ? 'IO' : 'BAD_FILE'
    throw new SemgenError(code, `${path} could not be read as a table: ${reason(error)}.`, { cause: error })
  }
  const [first, ...rows] = all
  const columns = first?.record ?? []
  const seen = new Set<string>()
  const twice = columns.find((name) => seen.size === seen.add(name).size)
  if (twice !== undefined) throw new SemgenError('BAD_FILE', `${path} has two columns named ${shown(twice)}.`)
  return { path, columns, rows: rows.map(({ record }) => record), lines: rows.map(({ info }) => info.lines) }
}

/** What a file holds, which may be compressed: so LUNA16's lists are passed on. */
function plain(bytes: Buffer): Buffer {
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: mostBytes }) : bytes
}

/** A row by the names of its columns: empty cells are cells left out. */
export function filledCells({ columns, rows }: Table, row: number): Record<string, string> {
  return Object.fromEntries(columns.flatMap((name, i) => (rows[row]![i] ? [[name, rows[row]![i]!]] : [])))
}
