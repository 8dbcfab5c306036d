import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { addon } from '../engine/addon.js'
import { fromNative } from '../engine/native-error.js'
import type { RawScan, ScanSummary } from '../engine/volumes-addon.js'
import { reason, SemgenError } from '../errors.js'
import { voxelCount } from '../extents.js'
import { writeAtomically } from '../files.js'
import { mapParallel } from '../parallel.js'
import { type Progress, silent } from '../progress.js'
import { findScans, type ScanFile, scanName, splitNames } from './cohort-files.js'
import { isOfFile, readVolume } from './read.js'
import { givenParts, patientOf, splitPatients, withFoldersPatients } from './split.js'
import { canonical, type Volume } from './volume.js'

const triple = z.tuple([z.number(), z.number(), z.number()])
export const modalities = ['ct', 'mr'] as const
export type Modality = (typeof modalities)[number]

/** One scan of a cohort, as inspection found it. Extents and spacing are those of canonical order (RAS). */
const cohortScan = z.object({
  id: z.string(),
  path: z.string(),
  patient: z.string(),
  split: z.enum(splitNames),
  shape: triple,
  /** Volumes of the file, and which of them this is where each is a scan of its own; else it is the first. */
  channels: z.number().int(),
  volume: z.number().int().min(0).optional(),
  spacing: triple,
  /** How it is stored: "LPS". */
  orientation: z.string(),
  modality: z.enum(modalities),
  /** Smallest and largest value, and the quantiles 0.5 % and 99.5 %. */
  range: z.tuple([z.number(), z.number()]),
  robustRange: z.tuple([z.number(), z.number()]),
  /** SHA-256 of the voxels as stored. */
  hash: z.string(),
  /** SHA-256 of what its header says of them, as headerHash has it; absent in files of before it was kept. */
  header: z.string().optional(),
  bytes: z.number(),
  modified: z.number(),
  /** What deserves a look, but does not keep the scan out. */
  problems: z.array(z.string()),
})
export type CohortScan = z.infer<typeof cohortScan>

export const cohortFile = z.object({
  version: z.literal(1),
  scans: z.array(cohortScan),
  /** Files that are left out, with the reason. */
  refused: z.array(z.object({ path: z.string(), reason: z.string() })),
  notes: z.array(z.string()),
})
export type Cohort = z.infer<typeof cohortFile>

export interface InspectOptions {
  /** Default `auto`: guessed scan by scan. */
  readonly modality?: 'auto' | Modality | undefined
  /** Shares of patients for training, validation and test; default [0.8, 0.2, 0]. */
  readonly split?: readonly [number, number, number] | undefined
  readonly seed?: number | undefined
  /** Threads for the work; default: all that this process may use. */
  readonly threads?: number | undefined
  /** Take each volume of a file of several as a scan of its own: channels of one case. Default: the first alone. */
  readonly everyVolume?: boolean | undefined
}

/**
 * Scans whose voxels are in memory at the same time: one more than there are threads, for one waits for the disk, and no
 * more than the four threads that Node.js has for such work.
 */
export const volumesAtATime = (threads = availableParallelism()): number => Math.min(threads + 1, 4)

/** Volumes of one file that are channels, and no series over time. */
const mostVolumes = 32

/** Fewer voxels than this along an axis is a slice or a stub, not a volume to learn anatomy from. */
const fewestVoxels = 8
/** Slices this much thicker than wide are beyond what a 3-D patch can bridge. */
const mostAnisotropy = 10

/**
 * Opens every scan of a source, file by file: geometry, intensities, duplicates, problems. A file that cannot be used is
 * listed with its reason, and the rest goes on.
 * @throws SemgenError NO_DATA when nothing usable is left, BAD_FILE when a patient is given two parts, BAD_OPTION when the
 *   source itself cannot be used, IO or OUT_OF_MEMORY when the machine refuses a file, ABORTED
 */
export async function inspectCohort(
  sources: readonly string[],
  options: InspectOptions = {},
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<Cohort> {
  const { files, notes } = await findScans(sources)
  return inspectScans(withFoldersPatients(files, notes), notes, options, progress, signal)
}

/** As inspectCohort, for files that are known already. @throws SemgenError as there */
export async function inspectScans(
  files: readonly ScanFile[],
  notes: string[] = [],
  options: InspectOptions = {},
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<Cohort> {
  // Before hours are spent on opening them.
  const given = givenParts(files)
  const task = progress.begin('Inspecting', files.length, 'scans')
  const found = await mapParallel(files, volumesAtATime(options.threads), async (file) => {
    if (signal?.aborted) throw new SemgenError('ABORTED', 'The inspection was stopped.')
    try {
      return await inspectFile(file, options)
    } catch (error) {
      if (!isOfFile(error)) throw error
      return { path: file.path, reason: error.message }
    } finally {
      task.advance()
    }
  }).finally(() => task.end())
  const refused = found.flatMap((file) => (Array.isArray(file) ? [] : [file]))
  const taken = new Set<string>()
  const scans = found
    .flatMap((file) => (Array.isArray(file) ? file : []))
    .map((scan) => ({ id: uniqueId(scan.path, taken), ...scan }))
  const unique = withoutDuplicates(scans, refused)
  if (unique.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `None of the ${files.length} scan(s) can be used; the first: ${refused[0]?.reason ?? 'none was found'}`,
    )
  const split = splitPatients(unique, given, options.split ?? [0.8, 0.2, 0], options.seed ?? 0)
  noteSpacings(split, notes)
  return { version: 1, scans: split, refused, notes }
}

/** Writes cohort.json. */
export async function writeCohort(path: string, cohort: Cohort): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(cohort, null, 1)}\n`)
}

async function inspectFile(file: ScanFile, options: InspectOptions) {
  const volume = await readVolume(file.path)
  if (!options.everyVolume || volume.channels === 1) return [await inspectScan(file, volume, undefined, options)]
  if (volume.channels > mostVolumes)
    throw new SemgenError(
      'UNSUPPORTED',
      `${file.path} holds ${volume.channels} volumes; at most ${mostVolumes} can be the channels of one image.`,
    )
  const scans: Awaited<ReturnType<typeof inspectScan>>[] = []
  for (let i = 0; i < volume.channels; i++) scans.push(await inspectScan(file, volume, i, options))
  return scans
}

async function inspectScan(file: ScanFile, volume: Volume, index: number | undefined, options: InspectOptions) {
  const { scan, spacing, code } = canonical(volume, index)
  const summary = await summaryOf(scan)
  const problems: string[] = []
  const voxels = scan.shape[0] * scan.shape[1] * scan.shape[2]
  const refuse = (sentence: string) => {
    throw new SemgenError('UNSUPPORTED', `${file.path} ${sentence}`)
  }
  if (summary.nonFinite === voxels) refuse('holds no finite number.')
  if (summary.nonFinite > voxels / 2) refuse(`is mostly not a number: ${summary.nonFinite} of ${voxels} voxels.`)
  if (summary.low === summary.high) refuse(`is constant: every voxel is ${summary.low}.`)
  if (scan.shape.some((extent) => extent < fewestVoxels))
    refuse(`is too small: ${scan.shape.join(' x ')} voxels, and at least ${fewestVoxels} along each axis are needed.`)
  if (summary.nonFinite > 0)
    problems.push(`${summary.nonFinite} voxels are not numbers; they are taken for the darkest`)
  if (volume.channels > 1 && index === undefined)
    problems.push(`${volume.channels} volumes in one file; the first is used`)
  if (spacing.some((size) => !(size > 0.01 && size < 100)))
    problems.push(`a spacing of ${spacing.join(' x ')} mm cannot be`)
  const anisotropy = Math.max(...spacing) / Math.min(...spacing)
  if (anisotropy > mostAnisotropy)
    problems.push(`slices are ${anisotropy.toFixed(1)} times as thick as pixels are wide`)
  const asked = options.modality ?? 'auto'
  if (summary.whole && summary.low >= 0 && summary.high <= 32)
    problems.push(`holds only whole numbers up to ${summary.high}: a label map, perhaps`)
  const { size, mtimeMs } = await stat(file.path)
  return {
    path: file.path,
    patient: patientOf(file),
    shape: [...scan.shape] as [number, number, number],
    channels: volume.channels,
    ...(index === undefined ? {} : { volume: index }),
    spacing: [...spacing] as [number, number, number],
    orientation: code,
    modality: asked === 'auto' ? guessModality(summary) : asked,
    range: [summary.low, summary.high] as [number, number],
    robustRange: [summary.robustLow, summary.robustHigh] as [number, number],
    hash: hashOf(volume, index),
    header: headerHash(volume),
    bytes: size,
    modified: Math.round(mtimeMs),
    problems,
  }
}

async function summaryOf(scan: RawScan): Promise<ScanSummary> {
  try {
    return await addon().summarizeScan(scan)
  } catch (error) {
    throw fromNative(error)
  }
}

/** CT is in Hounsfield units: whole numbers from about -1000 (air). Nothing else reaches below -500 like that. */
export function guessModality({ low, high }: { readonly low: number; readonly high: number }): Modality {
  return low <= -500 && low >= -10000 && high > -100 ? 'ct' : 'mr'
}

/** The file's name; with its folder's where two share it. */
function uniqueId(path: string, taken: Set<string>): string {
  let id = scanName(path)
  for (let at = dirname(path); taken.has(id) && at !== dirname(at); at = dirname(at)) id = `${basename(at)}-${id}`
  for (let n = 2; taken.has(id); n++) id = `${scanName(path)}-${n}`
  taken.add(id)
  return id
}

function hashOf({ data: all, shape }: Volume, index: number | undefined): string {
  const voxels = voxelCount(shape)
  const data = index === undefined ? all : all.subarray(index * voxels, (index + 1) * voxels)
  return createHash('sha256')
    .update(shape.join())
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
}

/** SHA-256 of what a file says of its voxels, and prepared scans depend on: geometry, and the scale of intensities. */
export function headerHash({ affine, spacing, slope, intercept }: Volume): string {
  return createHash('sha256').update(JSON.stringify({ affine, spacing, slope, intercept })).digest('hex')
}

function withoutDuplicates<T extends { hash: string; path: string }>(scans: T[], refused: Cohort['refused']): T[] {
  const first = new Map<string, T>()
  for (const scan of scans) {
    const before = first.get(scan.hash)
    if (before) refused.push({ path: scan.path, reason: `${scan.path} holds the same voxels as ${before.path}.` })
    else first.set(scan.hash, scan)
  }
  return [...first.values()]
}

function noteSpacings(scans: readonly CohortScan[], notes: string[]): void {
  for (let axis = 0; axis < 3; axis++) {
    const sizes = scans.map((scan) => scan.spacing[axis]!).sort((a, b) => a - b)
    if (sizes.at(-1)! > 1.5 * sizes[0]!) {
      notes.push(
        `Voxel sizes differ: ${sizes[0]!.toFixed(2)} to ${sizes.at(-1)!.toFixed(2)} mm along ${'xyz'[axis]}. --spacing brings them to one.`,
      )
      return
    }
  }
}

/** The cohort as rows of a table: a header and a row a scan, then what was refused. */
export function cohortTable(cohort: Cohort): { header: string[]; rows: string[][] } {
  const header = ['scan', 'voxels', 'spacing, mm', 'stored', 'kind', 'range', 'part', 'problems']
  const rows = cohort.scans.map((scan) => [
    scan.id,
    scan.shape.join(' x '),
    scan.spacing.map((size) => Number(size.toFixed(2))).join(' x '),
    scan.orientation,
    scan.modality,
    scan.range.map((value) => Number(value.toPrecision(5))).join(' to '),
    scan.split,
    scan.problems.join('; '),
  ])
  return { header, rows }
}

/** Reads cohort.json. @throws SemgenError BAD_FILE */
export function parseCohort(path: string, content: unknown): Cohort {
  const parsed = cohortFile.safeParse(content)
  if (parsed.success) return parsed.data
  throw new SemgenError('BAD_FILE', `${path} is no cohort.json: ${reason(parsed.error.issues[0]?.message)}.`)
}
