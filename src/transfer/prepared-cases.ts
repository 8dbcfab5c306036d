import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { CaseFiles } from '../cases/cases.js'
import { SemgenError } from '../errors.js'
import { extentsText, voxelCount } from '../extents.js'
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
        const labels = await prepareLabels(label, id, channels[0]!, options.folder)
        cases.push({ id, split, channels, labels, ...whereLabelsAre(labels) })
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

/** Labels in canonical order on the grid of the prepared image: written to the cache once, and mapped. */
async function prepareLabels(path: string, id: string, scan: PreparedScan, folder: string): Promise<Uint8Array> {
  const { size, mtimeMs } = await stat(path)
  const key = createHash('sha256')
    .update(JSON.stringify([path, size, mtimeMs, scan.shape, scan.affine]))
    .digest('hex')
  const base = join(folder, `${id.replace(/[^\w.-]/g, '_')}-labels-${key.slice(0, 12)}`)
  const known = existsSync(`${base}.json`) && existsSync(`${base}.u8`)
  if (!known || metadata.safeParse(await readJson(`${base}.json`).catch(() => undefined)).data?.key !== key) {
    await writeAtomically(`${base}.u8`, await canonicalLabels(path, scan))
    await writeAtomically(`${base}.json`, JSON.stringify({ version, key }))
  }
  const labels = new Uint8Array(mapVoxels(`${base}.u8`))
  if (labels.length !== voxelCount(scan.shape))
    throw new SemgenError(
      'BAD_FILE',
      `${base}.u8 has another size than it was written with: delete it, and it is made again.`,
    )
  return labels
}

async function canonicalLabels(path: string, scan: PreparedScan): Promise<Uint8Array> {
  const { scan: raw, affine } = canonical(await readSingleVolume(path))
  const apart = cornersApart(affine, raw.shape, scan.affine, scan.shape)
  if (apart > 0.5 * Math.min(...scan.spacing))
    throw new SemgenError(
      'BAD_FILE',
      `${path} lies on another grid than ${scan.path}: ${extentsText(raw.shape)} voxels, and corners up to ${apart.toFixed(1)} mm apart.`,
    )
  const labels = new Uint8Array(voxelCount(scan.shape))
  const { data, offset, strides, slope, intercept } = raw
  // The voxel of the label file that holds the centre of each voxel of the prepared image.
  const [xs, ys, zs] = scan.shape.map((extent, axis) =>
    Float64Array.from({ length: extent }, (_, i) => {
      const from = Math.min(raw.shape[axis]! - 1, Math.floor(((i + 0.5) * raw.shape[axis]!) / extent))
      return from * strides[axis]!
    }),
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
