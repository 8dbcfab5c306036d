import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { reason, SemgenError } from '../errors.js'
import { readJson, writeAtomically } from '../files.js'
import { labelNames } from './tissues.js'

/** Raised when the same settings begin to give other voxels, so that a folder never mixes the two. */
const version = 1

const triple = z.tuple([z.number(), z.number(), z.number()])

const settingsSchema = z.strictObject({
  seed: z.number().int(),
  format: z.enum(['nifti', 'metaimage']),
  size: triple.nullable(),
  nodules: z.number().int(),
})

const scanSchema = z.strictObject({
  id: z.string(),
  /** Relative to the folder. */
  image: z.string(),
  labels: z.string(),
  shape: triple,
  spacing: triple,
  phase: z.enum(['native', 'venous']),
  /** Standard deviation in the middle of the body, in HU. */
  noise: z.number(),
  /** Middles in LPS+ millimetres. */
  nodules: z.array(z.strictObject({ centre: triple, diameter: z.number(), kind: z.enum(['solid', 'ground glass']) })),
})

const recordSchema = z.strictObject({
  version: z.number().int(),
  settings: settingsSchema,
  labels: z.record(z.string(), z.string()),
  scans: z.array(scanSchema),
})

/** What the voxels of a cohort depend on, besides a scan's number. */
export type PhantomSettings = z.infer<typeof settingsSchema>
/** What phantoms.json says of one scan. */
export type PhantomScan = z.infer<typeof scanSchema>

/** Where the scans of a folder lie. */
export const folders = { images: 'images', labels: 'labels' } as const
const recordName = 'phantoms.json'
const listName = 'nodules.csv'

/** PH_0007 */
export const scanId = (index: number): string => `PH_${String(index).padStart(4, '0')}`

/**
 * The scans that a folder already holds by its phantoms.json. An empty or new folder holds none.
 * @throws SemgenError BAD_OPTION when the folder holds anything else, or phantoms of other settings
 */
export async function readRecord(folder: string, settings: PhantomSettings): Promise<PhantomScan[]> {
  const content = await entries(folder)
  if (content.length === 0) return []
  const advice = 'choose another folder, or --force to replace the phantoms in it'
  if (!content.includes(recordName))
    throw new SemgenError('BAD_OPTION', `--out ${folder} is not empty and holds no phantoms: ${advice}.`)
  const record = recordSchema.safeParse(await readJson(join(folder, recordName)))
  if (!record.success || record.data.version !== version)
    throw new SemgenError('BAD_OPTION', `--out ${folder} holds phantoms of another version of this program: ${advice}.`)
  const before = record.data.settings
  const keys = Object.keys(settings) as (keyof PhantomSettings)[]
  const other = keys.filter((key) => text(before[key]) !== text(settings[key]))
  if (other.length > 0)
    throw new SemgenError(
      'BAD_OPTION',
      `--out ${folder} holds phantoms made with ${other.map((key) => `--${key} ${text(before[key])}`).join(' ')}, ` +
        `not ${other.map((key) => text(settings[key])).join(' ')}: ${advice}.`,
    )
  return record.data.scans
}

const text = (value: PhantomSettings[keyof PhantomSettings]): string =>
  Array.isArray(value) ? value.join('x') : String(value ?? 'varying')

/** Writes phantoms.json, and nodules.csv as LUNA16 writes its annotations. */
export async function writeRecord(
  folder: string,
  settings: PhantomSettings,
  scans: readonly PhantomScan[],
): Promise<void> {
  const labels = Object.fromEntries(labelNames.map((name, value) => [value, name]))
  const rows = scans.flatMap(({ id, nodules }) =>
    nodules.map(({ centre, diameter }) => [id, ...centre, diameter].join(',')),
  )
  await writeAtomically(join(folder, listName), ['seriesuid,coordX,coordY,coordZ,diameter_mm', ...rows, ''].join('\n'))
  const record: z.infer<typeof recordSchema> = { version, settings, labels, scans: [...scans] }
  await writeAtomically(join(folder, recordName), `${JSON.stringify(record, null, 2)}\n`)
}

/** Removes what this program wrote to a folder, and nothing else. */
export async function removePhantoms(folder: string): Promise<void> {
  // The record goes first: without it, what is left is never taken for finished.
  for (const name of [recordName, listName]) await rm(join(folder, name), { force: true })
  for (const part of Object.values(folders))
    for (const name of await entries(join(folder, part)))
      if (/^\.?PH_\d{4,}\.(nii\.gz|mha)(\.[0-9a-f]{8}\.tmp)?$/.test(name)) await rm(join(folder, part, name))
}

/** The names in a folder; none where it does not exist. @throws SemgenError IO when it cannot be listed */
export async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new SemgenError('IO', `${folder} could not be listed: ${reason(error)}.`, { cause: error })
  }
}
