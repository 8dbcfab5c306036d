import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, statfs } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { addon } from '../engine/addon.js'
import { fromNative } from '../engine/native-error.js'
import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { readJson, writeAtomically } from '../files.js'
import { mapParallel } from '../parallel.js'
import { type Progress, silent } from '../progress.js'
import { type Cohort, type CohortScan, headerHash, type Modality, volumesAtATime } from './cohort.js'
import type { SplitName } from './cohort-files.js'
import { isOfFile, readVolume } from './read.js'
import { type Affine, canonical } from './volume.js'

/** A scan ready for training: canonical orientation (RAS), (x, y, z) with z fastest, memory-mapped, read-only. */
export interface PreparedScan {
  readonly id: string
  readonly path: string
  /** Which volume of the file, where each is a scan of its own. */
  readonly volume?: number
  readonly patient: string
  readonly split: SplitName
  readonly modality: Modality
  readonly shape: Extents
  /** Millimetres. */
  readonly spacing: Extents
  /** Voxel index -> RAS millimetres. */
  readonly affine: Affine
  /** Intensities at value 0 and 65535. */
  readonly window: readonly [number, number]
  /** value / 65535 is the intensity in [0, 1]. */
  readonly voxels: Uint16Array
  /** The bounding box [low, high) of what is not background, in voxels. */
  readonly body: { readonly low: Extents; readonly high: Extents }
}

export interface PreparedCohort {
  readonly scans: readonly PreparedScan[]
  /** Scans that were left out while preparing, with the reason. */
  readonly refused: readonly { readonly path: string; readonly reason: string }[]
}

export interface PrepareOptions {
  /** Folder of the prepared scans. */
  readonly folder: string
  /** Millimetres to resample to; by default scans keep theirs. */
  readonly spacing?: Extents | undefined
  /** Threads for the work; default: all that this process may use. The result is the same with any number. */
  readonly threads?: number | undefined
}

/** CT is clipped to these Hounsfield units, air to dense bone: METHOD, after Zhou et al. 2019. */
const ctWindow = [-1000, 1000] as const
/** Denser than the air around and inside: what counts as body in CT. */
const ctBody = -500
/** In MR, the share of the window above which a voxel is no background. */
const mrBody = 0.08

/** Of a resampled scan, as the addon makes them. */
const mostVoxels = 2 ** 30
const longestSide = 32768

/** Of keys and metadata: another one makes every prepared scan anew. */
const version = 2

const triple = z.tuple([z.number(), z.number(), z.number()])
const metadata = z.object({
  version: z.literal(version),
  key: z.string(),
  shape: triple,
  spacing: triple,
  affine: z.array(z.number()).length(16),
  window: z.tuple([z.number(), z.number()]),
  body: z.object({ low: triple, high: triple }),
})

/**
 * Brings every scan of a cohort into the form that training reads, once: prepared scans are kept in a folder and used
 * again when the file's voxels, its header and the settings are the same. CT is clipped to [-1000, 1000] HU; MR is stretched
 * between its quantiles 0.5 % and 99.5 %. A scan that cannot be prepared is listed and left out.
 * @throws SemgenError NO_DATA when no scan is left, IO (a full disk, say), OUT_OF_MEMORY, ABORTED
 */
export async function prepareCohort(
  cohort: Cohort,
  options: PrepareOptions,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<PreparedCohort> {
  await mkdir(options.folder, { recursive: true })
  const task = progress.begin('Preparing', cohort.scans.length, 'scans')
  const results = await mapParallel(cohort.scans, volumesAtATime(options.threads), async (scan) => {
    if (signal?.aborted) throw new SemgenError('ABORTED', 'The preparation was stopped.')
    try {
      return await prepareScan(scan, options)
    } catch (error) {
      if (!isOfFile(error)) throw error
      progress.warn(error.message)
      return { path: scan.path, reason: error.message }
    } finally {
      task.advance()
    }
  }).finally(() => task.end())
  const scans = results.filter((scan) => 'voxels' in scan)
  const refused = results.filter((scan) => 'reason' in scan)
  if (scans.length === 0)
    throw new SemgenError('NO_DATA', `No scan could be prepared; the first: ${refused[0]?.reason}`)
  return { scans, refused }
}

async function prepareScan(scan: CohortScan, options: PrepareOptions): Promise<PreparedScan> {
  const window = windowOf(scan)
  // Everything that a prepared scan follows from: a corrected header makes another one of the same voxels.
  const { hash, header, bytes, orientation } = scan
  const stored = { hash, header, bytes, orientation, spacing: scan.spacing }
  const key = createHash('sha256')
    .update(JSON.stringify({ version, stored, modality: scan.modality, window, spacing: options.spacing ?? null }))
    .digest('hex')
  const base = join(options.folder, `${scan.id.replace(/[^\w.-]/g, '_')}-${key.slice(0, 12)}`)
  const known = (await readMetadata(`${base}.json`, key)) ?? (await buildScan(scan, window, key, base, options))
  const buffer = mapVoxels(`${base}.u16`)
  if (buffer.byteLength !== 2 * voxelCount(known.shape))
    throw new SemgenError(
      'BAD_FILE',
      `${base}.u16 has another size than it was written with: delete it, and it is made again.`,
    )
  const { id, path, volume, patient, split, modality } = scan
  const { shape, affine, body } = known
  return {
    id,
    path,
    ...(volume === undefined ? {} : { volume }),
    patient,
    split,
    modality,
    shape,
    spacing: known.spacing,
    affine,
    window,
    body,
    voxels: new Uint16Array(buffer),
  }
}

/** A file as read-only memory: pages come when they are read. @throws SemgenError IO */
export function mapVoxels(path: string): ArrayBuffer {
  try {
    return addon().mapFile(path)
  } catch (error) {
    throw fromNative(error)
  }
}

async function readMetadata(path: string, key: string): Promise<z.infer<typeof metadata> | undefined> {
  if (!existsSync(path)) return undefined
  const parsed = metadata.safeParse(await readJson(path).catch(() => undefined))
  return parsed.success && parsed.data.key === key && existsSync(path.replace(/json$/, 'u16')) ? parsed.data : undefined
}

/** Intensities at value 0 and 65535. */
function windowOf({ modality, robustRange, range }: CohortScan): readonly [number, number] {
  if (modality === 'ct') return ctWindow
  // A scan whose quantiles coincide (a mask, say) keeps its whole range.
  return robustRange[1] > robustRange[0] ? robustRange : range
}

async function buildScan(
  scan: CohortScan,
  window: readonly [number, number],
  key: string,
  base: string,
  options: PrepareOptions,
): Promise<z.infer<typeof metadata>> {
  const volume = await readVolume(scan.path)
  const { scan: raw, spacing, affine } = canonical(volume, scan.volume)
  const otherHeader = scan.header !== undefined && headerHash(volume) !== scan.header
  if (otherHeader || raw.shape.some((extent, axis) => extent !== scan.shape[axis]))
    throw new SemgenError('BAD_FILE', `${scan.path} has changed since it was inspected.`)
  let shape = raw.shape
  let voxels = new Uint16Array(voxelCount(shape))
  let finalSpacing = spacing
  let finalAffine = affine
  try {
    await addon().quantizeScan(raw, window[0], window[1], voxels)
    if (options.spacing) {
      const resampled = resampledExtents(shape, spacing, options.spacing)
      if (Math.max(...resampled) > longestSide || voxelCount(resampled) > mostVoxels)
        throw new SemgenError(
          'UNSUPPORTED',
          `${scan.path}: at --spacing ${options.spacing.join('x')} it would have ${resampled.join(' x ')} voxels, and at most ${longestSide} a side and 2^30 in all are prepared: choose larger voxels.`,
        )
      if (resampled.some((extent, axis) => extent !== shape[axis])) {
        const values = await addon().resizeScan({ voxels, shape }, resampled, threadsEach(options.threads))
        voxels = Uint16Array.from(values, (value) => Math.round(65535 * Math.min(1, Math.max(0, value))))
        finalSpacing = shape.map((extent, axis) => (extent * spacing[axis]!) / resampled[axis]!) as unknown as Extents
        finalAffine = resampledAffine(affine, shape, resampled)
        shape = resampled
      }
    }
    const level = scan.modality === 'ct' ? (ctBody - ctWindow[0]) / (ctWindow[1] - ctWindow[0]) : mrBody
    const body = await addon().bodyBox(voxels, shape, Math.round(65535 * level))
    const { bavail, bsize } = await statfs(options.folder)
    if (bavail * bsize < voxels.byteLength)
      throw new SemgenError(
        'IO',
        `The disk of ${options.folder} is full: ${scan.path} needs ${voxels.byteLength >> 20} MiB there.`,
      )
    await writeAtomically(`${base}.u16`, new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength))
    const content = {
      version: version as typeof version,
      key,
      shape: [...shape] as [number, number, number],
      spacing: [...finalSpacing] as [number, number, number],
      affine: [...finalAffine],
      window: [...window] as [number, number],
      body: { low: [...body.low] as [number, number, number], high: [...body.high] as [number, number, number] },
    }
    await writeAtomically(`${base}.json`, JSON.stringify(content))
    return content
  } catch (error) {
    throw fromNative(error)
  }
}

/** Threads for one of the scans that are prepared at the same time. */
const threadsEach = (threads = availableParallelism()): number =>
  Math.max(1, Math.floor(threads / volumesAtATime(threads)))

/** As many voxels as cover the same millimetres. */
function resampledExtents(shape: Extents, spacing: Extents, target: Extents): Extents {
  return shape.map((extent, axis) =>
    Math.max(1, Math.round((extent * spacing[axis]!) / target[axis]!)),
  ) as unknown as Extents
}

/** Resampling keeps the outer faces: the first voxel's centre moves by half the difference of the voxel sizes. */
function resampledAffine(affine: Affine, from: Extents, to: Extents): Affine {
  const result = [...affine]
  for (let row = 0; row < 3; row++)
    for (let axis = 0; axis < 3; axis++) {
      const factor = from[axis]! / to[axis]!
      result[row * 4 + axis] = affine[row * 4 + axis]! * factor
      result[row * 4 + 3]! += affine[row * 4 + axis]! * (factor - 1) * 0.5
    }
  return result
}
