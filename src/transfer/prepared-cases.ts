import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { CaseFiles } from '../cases/cases.js'
import { SemgenError } from '../errors.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import { readJson, writeAtomically } from '../files.js'
import { type Progress, silent } from '../progress.js'
import {
  type Cohort,
  canonical,
  cornersApart,
  mapVoxels,
  type PreparedScan,
  readSingleVolume,
  type SplitName,
} from '../volumes/index.js'
import { voxelsUnder } from './image-grid.js'
import { preparedVolumes, type VolumeSetting } from './prepared-volumes.js'

/** A case ready for training: its channels and its labels on one grid, memory-mapped. */
export interface PreparedCase {
  readonly id: string
  readonly split: SplitName
  readonly channels: readonly PreparedScan[]
  /** One a voxel, z fastest. */
  readonly labels: Uint8Array
  /** How many voxels each label has that occurs. */
  readonly counts: ReadonlyMap<number, number>
  /** Voxels of each label but 0: all, or every n-th where there are many. Indices into `labels`. */
  readonly places: ReadonlyMap<number, Uint32Array>
  /**
   * What a prediction of the case is compared with. In the test part it is the labels on the image's own grid, for which
   * `predict` writes, so that the figures are those of its files; else `labels`, as they are prepared.
   */
  readonly truth: LabelMap
}

/** Labels in canonical order, z fastest, on a grid that covers what the prepared image covers. */
export interface LabelMap {
  readonly shape: Extents
  readonly labels: Uint8Array
}

export interface PreparedCases {
  readonly cases: readonly PreparedCase[]
  /** The images as they were inspected. */
  readonly cohort: Cohort
  /** What tells these cases from others: part of a run's fingerprint. */
  readonly identity: unknown
}

/** So many places of a label are enough to draw from. */
const mostPlaces = 16_384

/**
 * Inspects and prepares images as for pre-training, and labels beside them. A case that cannot be used is told, and the
 * rest goes on.
 * @throws SemgenError NO_DATA when a part for training or validation is empty, IO, ABORTED
 */
export async function prepareCases(
  found: readonly CaseFiles[],
  options: Omit<VolumeSetting, 'progress' | 'signal'>,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<PreparedCases> {
  const files = found.map((of) => ({ ...of, paths: of.images }))
  const { volumes, cohort, hashes } = await preparedVolumes(files, { ...options, progress, signal })
  const own = new Map(cohort.scans.map(({ id, shape, spacing }) => [id, { shape, spacing }]))
  const cases: PreparedCase[] = []
  const task = progress.begin('Labels', volumes.length, 'cases')
  try {
    for (const {
      files: { id, label },
      split,
      channels,
    } of volumes) {
      signal?.throwIfAborted()
      try {
        const scan = channels[0]!
        const image = own.get(scan.id)!
        const prepared = { shape: scan.shape, spacing: image.spacing }
        const labels = await prepareLabels(label, id, scan, prepared, options.folder)
        const resampled = image.shape.some((extent, axis) => extent !== scan.shape[axis])
        // Made now and not at the end of a training, which a damaged label file would spoil then.
        const truth =
          split === 'test' && resampled
            ? { shape: image.shape, labels: await prepareLabels(label, id, scan, image, options.folder) }
            : { shape: scan.shape, labels }
        cases.push({ id, split, channels, labels, ...whereLabelsAre(labels), truth })
      } catch (error) {
        if (!(error instanceof SemgenError) || !['BAD_FILE', 'UNSUPPORTED'].includes(error.code)) throw error
        progress.warn(`Left out: ${error.message}`)
      }
      task.advance()
    }
  } finally {
    task.end()
  }
  const identity = cases.map(({ id, split, channels, labels }) => [
    id,
    split,
    channels.map((scan) => hashes.get(scan.id)),
    createHash('sha256').update(labels).digest('hex').slice(0, 16),
  ])
  return { cases, cohort, identity }
}

/** Of metadata: another one makes all labels anew. Those of 1 may be the first volume of several. */
const version = 2
const metadata = z.object({ version: z.literal(version), key: z.string() })

/** How fine labels are to be, and the size of the image's own voxels, by half of which its labels may lie apart. */
interface LabelGrid {
  readonly shape: Extents
  readonly spacing: Extents
}

/** Labels in canonical order over the prepared image, in so many voxels: written to the cache once, and mapped. */
async function prepareLabels(
  path: string,
  id: string,
  scan: PreparedScan,
  grid: LabelGrid,
  folder: string,
): Promise<Uint8Array> {
  const { size, mtimeMs } = await stat(path)
  const key = createHash('sha256')
    .update(JSON.stringify([path, size, mtimeMs, grid.shape, scan.affine]))
    .digest('hex')
  const base = join(folder, `${id.replace(/[^\w.-]/g, '_')}-labels-${key.slice(0, 12)}`)
  const known = existsSync(`${base}.json`) && existsSync(`${base}.u8`)
  if (!known || metadata.safeParse(await readJson(`${base}.json`).catch(() => undefined)).data?.key !== key) {
    await writeAtomically(`${base}.u8`, await canonicalLabels(path, scan, grid))
    await writeAtomically(`${base}.json`, JSON.stringify({ version, key }))
  }
  const labels = new Uint8Array(mapVoxels(`${base}.u8`))
  if (labels.length !== voxelCount(grid.shape))
    throw new SemgenError(
      'BAD_FILE',
      `${base}.u8 has another size than it was written with: delete it, and it is made again.`,
    )
  return labels
}

async function canonicalLabels(path: string, scan: PreparedScan, { shape, spacing }: LabelGrid): Promise<Uint8Array> {
  const { scan: raw, affine } = canonical(await readSingleVolume(path))
  const apart = cornersApart(affine, raw.shape, scan.affine, scan.shape)
  if (apart > 0.5 * Math.min(...spacing))
    throw new SemgenError(
      'BAD_FILE',
      `${path} lies on another grid than ${scan.path}: ${extentsText(raw.shape)} voxels, and corners up to ${apart.toFixed(1)} mm apart.`,
    )
  const labels = new Uint8Array(voxelCount(shape))
  const { data, offset, strides, slope, intercept } = raw
  const [xs, ys, zs] = shape.map((extent, axis) =>
    Float64Array.from(voxelsUnder(raw.shape[axis]!, extent), (voxel) => voxel * strides[axis]!),
  ) as [Float64Array, Float64Array, Float64Array]
  let i = 0
  for (const x of xs)
    for (const y of ys)
      for (const z of zs) {
        const value = data[offset + x + y + z]! * slope + intercept
        if (!(value >= 0 && value <= 255 && Number.isInteger(value)))
          throw new SemgenError(
            'BAD_FILE',
            `${path} is no label map: it holds ${value}, and labels are whole numbers from 0 to 255.`,
          )
        labels[i++] = value
      }
  return labels
}

function whereLabelsAre(labels: Uint8Array): Pick<PreparedCase, 'counts' | 'places'> {
  const voxels = new Array<number>(256).fill(0)
  for (const label of labels) voxels[label]!++
  const counts = new Map([...voxels.entries()].filter(([, count]) => count > 0))
  const places = new Map<number, Uint32Array>()
  const steps = voxels.map((count) => Math.ceil(count / mostPlaces))
  const seen = new Array<number>(256).fill(0)
  for (const [label, count] of counts)
    if (label > 0) places.set(label, new Uint32Array(Math.ceil(count / steps[label]!)))
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!
    if (label === 0) continue
    const nth = seen[label]!++
    if (nth % steps[label]! === 0) places.get(label)![nth / steps[label]!] = i
  }
  return { counts, places }
}
