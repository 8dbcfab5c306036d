import { readFile } from 'node:fs/promises'
import type { EvaluateOptions } from '../config/index.js'
import { reason, SemgenError } from '../errors.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import { type Froc, frocOf, type Mark, matchMarks, type Nodule, rates, type ScanFinds } from './froc.js'
import { idColumns, needPlace, numberAt, readTable, type Table } from './table.js'

export interface DetectionResult {
  readonly task: 'detect'
  readonly predictions: string
  readonly truth: string
  readonly seed: number
  /** False positives a scan at which sensitivity is read. */
  readonly rates: readonly number[]
  readonly froc: Froc
  readonly finds: readonly ScanFinds[]
  /** Marks and nodules of scans that were not looked at. */
  readonly outside: { readonly marks: number; readonly nodules: number }
}

const scanColumns = ['seriesuid', 'scan', ...idColumns]
/** What LUNA16's own evaluation takes for a diameter that is not above 0, which its list of excluded regions has. */
const unknownDiameter = 10

/**
 * Compares marks with nodules: points and balls in one world, in millimetres.
 * @throws SemgenError NO_DATA, BAD_OPTION, BAD_FILE, IO
 */
export async function evaluateDetection(options: EvaluateOptions, progress: Progress): Promise<DetectionResult> {
  if (options.missing !== 'error')
    throw new SemgenError('BAD_OPTION', '--missing has no meaning with --task detect: a scan may have no mark.')
  const nodules = await readNodules(options.truth)
  const ignored = options.ignore === undefined ? [] : await readNodules(options.ignore)
  const marks = await readMarks(options.predictions)
  const scans = await scansOf(options, nodules, marks)
  const looked = new Set(scans)
  const outside = {
    marks: marks.filter(({ scan }) => !looked.has(scan)).length,
    nodules: nodules.filter(({ scan }) => !looked.has(scan)).length,
  }
  if (outside.nodules === nodules.length)
    throw new SemgenError(
      'NO_DATA',
      `${options.truth} has no nodule in the scans that were looked at: nothing to find.`,
    )
  if (outside.marks + outside.nodules > 0)
    progress.warn(
      `Left out: ${counted(outside.marks, 'mark')} and ${counted(outside.nodules, 'nodule')} of scans that ${options.scans} does not list.`,
    )
  if (options.scans === undefined)
    progress.say(`Scans: ${scans.length}, those with a nodule or a mark; --scans lists those without either, too.`)
  const finds = matchMarks(scans, nodules, ignored, marks)
  return {
    task: 'detect',
    predictions: options.predictions,
    truth: options.truth,
    seed: options.seed,
    rates,
    froc: frocOf(finds, options.seed),
    finds,
    outside,
  }
}

async function readNodules(path: string): Promise<Nodule[]> {
  const table = await readTable(path)
  const placed = places(table)
  const diameter = needPlace(table, ['diameter_mm', 'diameter'])
  return table.rows.map((_, row) => {
    const millimetres = numberAt(table, row, diameter)
    const { scan, at } = placed(row)
    return { scan, centre: at, radius: (millimetres > 0 ? millimetres : unknownDiameter) / 2 }
  })
}

async function readMarks(path: string): Promise<Mark[]> {
  const table = await readTable(path)
  const placed = places(table)
  const score = needPlace(table, ['probability', 'score', 'p'])
  return table.rows.map((_, row) => {
    const { scan, at } = placed(row)
    return { scan, place: at, score: numberAt(table, row, score) }
  })
}

/** How a row tells its scan and its place. */
function places(table: Table) {
  const scan = needPlace(table, scanColumns)
  const [x, y, z] = ['x', 'y', 'z'].map((axis) => needPlace(table, [`coord${axis}`, axis])) as [number, number, number]
  return (row: number) => {
    const name = table.rows[row]![scan]!
    if (name === '')
      throw new SemgenError('BAD_FILE', `${table.path}, row ${table.lines[row]}: ${table.columns[scan]} is empty.`)
    return { scan: name, at: [numberAt(table, row, x), numberAt(table, row, y), numberAt(table, row, z)] as const }
  }
}

async function scansOf(
  { scans: list }: EvaluateOptions,
  nodules: readonly Nodule[],
  marks: readonly Mark[],
): Promise<string[]> {
  if (list === undefined) return [...new Set([...nodules, ...marks].map(({ scan }) => scan))].sort()
  let text: string
  try {
    text = await readFile(list, 'utf8')
  } catch (error) {
    throw new SemgenError('IO', `${list} could not be read: ${reason(error)}.`, { cause: error })
  }
  const lines = text.split(/\r?\n/).map((line) => line.split(',')[0]!.trim())
  const names = lines.filter((line, i) => line !== '' && !(i === 0 && scanColumns.includes(line.toLowerCase())))
  if (names.length === 0) throw new SemgenError('NO_DATA', `${list} lists no scan.`)
  return [...new Set(names)].sort()
}
