import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { findCases } from '../cases/cases.js'
import { SemgenError, shown } from '../errors.js'
import { findScans, isVolumeFile, scanName } from '../volumes/index.js'
import { idColumns, needPlace, placeOf, readTable } from './table.js'

/** A case to evaluate: files by the name that truth and prediction share. */
export interface Pair {
  readonly id: string
  readonly truth: string
  /** Absent where there is none. */
  readonly prediction?: string
  /** The first channel, to be shown beneath the outlines. */
  readonly image?: string
  /** Probabilities of outputs beside the prediction, by the end of their name: "label-1" of "a-label-1.nii.gz". */
  readonly probabilities: ReadonlyMap<string, string>
}

export interface Pairs {
  readonly pairs: readonly Pair[]
  /** Predictions of which there is no truth. */
  readonly unmatched: readonly string[]
}

/**
 * Pairs predictions with their truth by name, in the order of names.
 * @param truth a folder of label maps, anything that `finetune --data` takes, or a .csv with the columns id and label
 * @param predictions a folder as predict writes it, or a .csv with the columns id and path
 * @param images a folder, or nothing where the truth names them
 * @throws SemgenError IO, BAD_FILE, NO_DATA, BAD_OPTION, naming the source
 */
export async function findPairs(predictions: string, truth: string, images?: string): Promise<Pairs> {
  const truths = await truthFiles(truth)
  const predicted = await filesByName(predictions, ['path', 'prediction', 'label'], 'predictions')
  const shownImages = images === undefined ? new Map<string, string>() : await imageFiles(images)
  const used = new Set<string>()
  const take = (id: string) => {
    used.add(id)
    return predicted.get(id)
  }
  const pairs = [...truths.keys()].sort().map((id): Pair => {
    const { label, image } = truths.get(id)!
    const prediction = take(id)
    const picture = shownImages.get(id) ?? image
    return {
      id,
      truth: label,
      ...(prediction === undefined ? {} : { prediction }),
      ...(picture === undefined ? {} : { image: picture }),
      probabilities: new Map(),
    }
  })
  // What is left may be probabilities: the longest name of a case before a hyphen claims them.
  const byLength = [...pairs].sort((a, b) => b.id.length - a.id.length)
  for (const [id, path] of predicted) {
    if (used.has(id)) continue
    const pair = byLength.find((one) => one.prediction !== undefined && id.startsWith(`${one.id}-`))
    if (!pair) continue
    used.add(id)
    ;(pair.probabilities as Map<string, string>).set(id.slice(pair.id.length + 1), path)
  }
  return { pairs, unmatched: [...predicted].filter(([id]) => !used.has(id)).map(([, path]) => path) }
}

type TruthFile = { readonly label: string; readonly image?: string }

async function truthFiles(source: string): Promise<Map<string, TruthFile>> {
  exists(source, 'the truth: a folder of label maps, or a list of them')
  if (await listsCases(source)) {
    const { cases } = await findCases(source)
    return new Map(cases.map(({ id, label, images }) => [id, { label, ...(images[0] ? { image: images[0] } : {}) }]))
  }
  const files = await filesByName(source, ['label', 'truth', 'path'], 'the truth')
  return new Map([...files].map(([id, label]) => [id, { label }]))
}

/** Whether a source names images, too: then it is read as fine-tuning reads it. */
async function listsCases(source: string): Promise<boolean> {
  if (/\.json$/i.test(source)) return true
  if (/\.csv$/i.test(source)) {
    const table = await readTable(source)
    return placeOf(table, ['label']) !== undefined && table.columns.some((name) => /^image\d*$/.test(name))
  }
  if (!statSync(source).isDirectory()) return false
  const names = await readdir(source)
  return names.includes('dataset.json') || !names.some((name) => isVolumeFile(name))
}

async function imageFiles(folder: string): Promise<Map<string, string>> {
  const files = await filesByName(folder, ['image', 'path'], '--images')
  // Of several channels the first is shown.
  const firsts = [...files].filter(([id]) => !/_\d{4}$/.test(id) || id.endsWith('_0000'))
  return new Map(firsts.map(([id, path]) => [id.replace(/_0000$/, ''), path]))
}

async function filesByName(source: string, columns: readonly string[], what: string): Promise<Map<string, string>> {
  exists(source, what)
  const files = new Map<string, string>()
  const add = (id: string, path: string) => {
    const other = files.get(id)
    if (other !== undefined)
      throw new SemgenError('BAD_FILE', `${source} has two files of the case ${shown(id)}: ${other} and ${path}.`)
    files.set(id, path)
  }
  if (/\.csv$/i.test(source)) {
    const table = await readTable(source)
    const place = needPlace(table, columns)
    const idPlace = placeOf(table, idColumns.slice(0, 2))
    for (const [row, cells] of table.rows.entries()) {
      const named = cells[place]!
      if (named === '')
        throw new SemgenError('BAD_FILE', `${source}, row ${table.lines[row]}: ${table.columns[place]} is empty.`)
      const path = isAbsolute(named) ? named : resolve(dirname(source), named)
      if (!existsSync(path)) throw new SemgenError('IO', `${path}, named by ${source}, does not exist.`)
      add(idPlace === undefined ? scanName(path) : cells[idPlace]!, path)
    }
  } else for (const { path } of (await findScans([source])).files) add(scanName(path), path)
  if (files.size === 0) throw new SemgenError('NO_DATA', `${source} names no files.`)
  return files
}

function exists(source: string, what: string): void {
  if (!existsSync(source)) throw new SemgenError('IO', `${join(source)} does not exist; it was given for ${what}.`)
}
