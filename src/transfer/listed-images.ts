import { existsSync } from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { readTable, type Table } from '../evaluation/table.js'
import { type Cohort, type SplitName, scanName, splitNames } from '../volumes/index.js'
import { type FoundImages, type ImageSetting, sortedNames } from './labelled-images.js'
import { preparedVolumes, type VolumeFiles } from './prepared-volumes.js'
import { wholeImages } from './volume-images.js'

interface Row extends VolumeFiles {
  /** Names of the classes that are true. */
  readonly labels: readonly string[]
}

/**
 * The images of a .csv with the columns image (or image1, image2, ... for several channels) and label, and perhaps
 * split and patient. Paths are relative to the list. A label is the name of a class; where any row has several, with
 * bars between them (`effusion|mass`), any number may be true of an image, and an empty label says that none is.
 * @throws SemgenError BAD_FILE, IO, NO_DATA; ABORTED through the signal
 */
export async function listedImages(
  path: string,
  setting: ImageSetting,
): Promise<{ found: FoundImages; cohort: Cohort }> {
  const table = await readTable(path)
  const rows = rowsOf(table)
  if (rows.length === 0) throw new SemgenError('NO_DATA', `${path} lists no image.`)
  const exclusive = rows.every(({ labels }) => labels.length < 2)
  const unlabelled = rows.findIndex(({ labels }) => labels.length === 0)
  if (exclusive && unlabelled >= 0)
    throw new SemgenError(
      'BAD_FILE',
      `${path}, row ${table.lines[unlabelled]}: label is empty, and each image has one class here.`,
    )
  const classes = sortedNames(rows.flatMap(({ labels }) => labels))
  const numbers = new Map(classes.map((name, i) => [name, i]))
  const prepared = await preparedVolumes(rows, setting)
  const truth = ({ labels }: Row) => labels.map((name) => numbers.get(name)!)
  return { found: wholeImages(prepared, { classes, exclusive }, truth, setting), cohort: prepared.cohort }
}

function rowsOf(table: Table): Row[] {
  const { path, columns } = table
  const images = columns.filter((name) => /^image\d*$/.test(name))
  const unknown = columns.find((name) => !images.includes(name) && !['label', 'split', 'patient'].includes(name))
  if (images.length === 0 || !columns.includes('label') || unknown !== undefined)
    throw new SemgenError(
      'BAD_FILE',
      `${path} has the columns ${columns.join(', ') || 'none'}; a list of labelled images has image (or image1, image2, ...) and label, and may have split and patient.`,
    )
  const cell = (row: readonly string[], name: string) => row[columns.indexOf(name)] || undefined
  const seen = new Map<string, number>()
  const ids = new Set<string>()
  return table.rows.map((cells, i): Row => {
    const line = table.lines[i]!
    const where = `${path}, row ${line}`
    const paths = images.map((name) => {
      const said = cell(cells, name)
      if (!said) throw new SemgenError('BAD_FILE', `${where}: ${name} is empty.`)
      const file = isAbsolute(said) ? said : resolve(dirname(path), said)
      if (!existsSync(file)) throw new SemgenError('IO', `${file}, named by ${where}, does not exist.`)
      const before = seen.get(file)
      if (before !== undefined)
        throw new SemgenError('BAD_FILE', `${where} names ${shown(said)}, which row ${before} has already.`)
      seen.set(file, line)
      return file
    })
    const split = cell(cells, 'split')
    if (split && !(splitNames as readonly string[]).includes(split))
      throw new SemgenError('BAD_FILE', `${where}: split is ${shown(split)}, and takes ${splitNames.join(', ')}.`)
    const labels = (cell(cells, 'label') ?? '').split('|').map((name) => name.trim())
    const id = uniqueName(scanName(paths[0]!), ids)
    return {
      id,
      paths,
      patient: cell(cells, 'patient'),
      split: split as SplitName | undefined,
      labels: [...new Set(labels.filter((name) => name !== ''))],
    }
  })
}

/** The name, or with a number where it is taken. */
function uniqueName(name: string, taken: Set<string>): string {
  let id = name
  for (let n = 2; taken.has(id); n++) id = `${name}-${n}`
  taken.add(id)
  return id
}
