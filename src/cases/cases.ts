import { existsSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { z } from 'zod'
import { SemgenError } from '../errors.js'
import { readJson } from '../files.js'
import { counted } from '../format.js'
import { filledCells, readTable } from '../table.js'
import { type SplitName, scanName, splitNames } from '../volumes/index.js'
import { casesOfFolder } from './case-folders.js'

/** The files of one labelled case. */
export interface CaseFiles {
  readonly id: string
  /** One a channel, in order. */
  readonly images: readonly string[]
  /** What the channels are called, where names of files say so. */
  readonly channels?: readonly string[] | undefined
  readonly label: string
  /** Where the list says so. */
  readonly patient?: string | undefined
  readonly split?: SplitName | undefined
}

export interface FoundCases {
  readonly cases: readonly CaseFiles[]
  readonly notes: readonly string[]
  /** What has no counterpart: images without a label, labels without an image. */
  readonly unpaired: readonly string[]
}

/**
 * The labelled cases that a source names: a folder with dataset.json (Medical Segmentation Decathlon), a folder laid out
 * as `casesOfFolder` knows, or a .csv with the columns image (or image1, image2, ...), label, and perhaps patient and split.
 * @param channels names of the channels to use, in their order, where a case has its files in a folder of its own
 * @throws SemgenError IO, BAD_FILE, NO_DATA, BAD_OPTION, naming the source
 */
export async function findCases(source: string, channels?: readonly string[]): Promise<FoundCases> {
  if (!existsSync(source))
    throw new SemgenError('IO', `${source} does not exist: --data takes a folder of images/ and labels/, or a list.`)
  const found = statSync(source).isDirectory()
    ? existsSync(join(source, 'dataset.json'))
      ? await fromDataset(join(source, 'dataset.json'))
      : await casesOfFolder(source, channels)
    : /\.json$/i.test(source)
      ? await fromDataset(source)
      : await fromList(source)
  if (channels && found.cases.some((of) => of.channels === undefined))
    throw new SemgenError(
      'BAD_OPTION',
      `--channels chooses among the files of a case’s own folder; ${source} has no such folders, and its cases have the channels they name.`,
    )
  if (found.cases.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${source} holds no image with a label${found.unpaired[0] ? `: ${found.unpaired[0]}` : '.'}`,
    )
  for (const { images, label } of found.cases)
    for (const path of [...images, label])
      if (!existsSync(path)) throw new SemgenError('IO', `${path}, named by ${source}, does not exist.`)
  return found
}

const dataset = z.looseObject({
  training: z.array(z.object({ image: z.union([z.string(), z.array(z.string()).min(1)]), label: z.string() })),
})

async function fromDataset(path: string): Promise<FoundCases> {
  const parsed = dataset.safeParse(await readJson(path, 64 * 2 ** 20))
  if (!parsed.success)
    throw new SemgenError(
      'BAD_FILE',
      `${path} is no list of cases: ${parsed.error.issues[0]!.path.join('.')}: ${parsed.error.issues[0]!.message}. ` +
        'The Decathlon’s has "training": [{ "image": ..., "label": ... }].',
    )
  const at = absoluteFrom(path)
  const cases = parsed.data.training.map(({ image, label }) => {
    const images = (Array.isArray(image) ? image : [image]).map(at)
    return { id: scanName(label), images, label: at(label) }
  })
  return { cases, notes: [], unpaired: [] }
}

const row = z.object({
  label: z.string().min(1),
  patient: z.string().min(1).optional(),
  split: z.enum(splitNames).optional(),
})

async function fromList(path: string): Promise<FoundCases> {
  const table = await readTable(path)
  const { columns } = table
  const images = columns.filter((name) => /^image\d*$/.test(name))
  const unknown = columns.filter((name) => !images.includes(name) && !(name in row.shape))
  if (images.length === 0 || !columns.includes('label') || unknown.length > 0)
    throw new SemgenError(
      'BAD_FILE',
      `${path} has the columns ${columns.join(', ') || 'none'}; a list of cases has image (or image1, image2, ...) and label, and may have patient and split.`,
    )
  const at = absoluteFrom(path)
  const ids = new Map<string, number>()
  const cases = table.rows.map((_, i): CaseFiles => {
    const filled = filledCells(table, i)
    const parsed = row.safeParse(filled)
    const missing = images.find((name) => !filled[name])
    if (!parsed.success || missing)
      throw new SemgenError(
        'BAD_FILE',
        `${path}, row ${table.lines[i]}: ${missing ? `${missing} is empty` : `${parsed.error!.issues[0]!.path.join('.')}: ${parsed.error!.issues[0]!.message}`}.`,
      )
    const name = scanName(filled[images[0]!]!)
    ids.set(name, (ids.get(name) ?? 0) + 1)
    const id = ids.get(name) === 1 ? name : `${name}-${ids.get(name)}`
    return { ...parsed.data, id, images: images.map((column) => at(filled[column]!)), label: at(parsed.data.label) }
  })
  return { cases, notes: [], unpaired: [] }
}

const absoluteFrom =
  (list: string) =>
  (path: string): string =>
    isAbsolute(path) ? path : resolve(dirname(list), path)

/** What was left out, in one line for people. */
export function describeUnpaired(unpaired: readonly string[]): string | undefined {
  if (unpaired.length === 0) return undefined
  return `Left out: ${counted(unpaired.length, 'file')} without a counterpart; the first: ${unpaired[0]}`
}
