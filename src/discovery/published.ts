import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import { readBytes } from '../volumes/file-bytes.js'
import { type NpyHeader, type PreparedScan, readNpyHeader } from '../volumes/index.js'
import { voxelsFrom } from '../volumes/voxel-types.js'
import type { PatternClass, PatternSet } from './patterns.js'
import { prepareCubes } from './published-cubes.js'

/** Patterns with the cubes that they consist of: each cube is a scan of its own, cropped whole. */
export interface ReadyPatterns {
  readonly patterns: PatternSet
  readonly scans: readonly PreparedScan[]
}

/** train_data1_vwGen_ex_ref_fold1.0.npy with train_label1_vwGen_ex_ref_fold1.0.npy; 1 to 3 are the resolutions. */
const dataName = /^(train|val)_data(\d)(_.*)?\.npy$/
const mostCubes = 1_000_000
const mostClasses = 100_000
const largestCube = 512

/**
 * Reads the published pattern arrays of a folder as a ready pattern set. Cubes (N, X, Y, Z) in [0, 1] are turned, once and
 * some at a time, into the form of prepared scans in `cache`, where they are memory-mapped: 27 GB are never in memory.
 * @throws SemgenError NO_DATA when the folder has no such arrays, BAD_FILE or UNSUPPORTED when they are not what they
 *   should be, IO; whatever the signal was aborted with
 */
export async function readPublishedPatterns(
  folder: string,
  cache: string,
  progress: Progress,
  signal?: AbortSignal,
): Promise<ReadyPatterns> {
  const pairs = await findPairs(folder)
  const arrays: PublishedArray[] = []
  for (const pair of pairs) arrays.push(await openArray(pair))
  const patch = arrays[0]!.shape
  for (const { path, shape } of arrays)
    if (extentsText(shape) !== extentsText(patch))
      throw new SemgenError(
        'BAD_FILE',
        `${path} holds cubes of ${extentsText(shape)} voxels, and ${arrays[0]!.path} of ${extentsText(patch)}.`,
      )
  const task = progress.begin(
    'Preparing cubes',
    arrays.reduce((sum, { cubes }) => sum + cubes, 0),
    'cubes',
  )
  const scans: PreparedScan[] = []
  const byLabel: Entry[][] = []
  try {
    for (const array of arrays) {
      const labels = await readLabels(array)
      const voxels = await prepareCubes(array, cache, task, signal)
      for (const [i, label] of labels.entries()) {
        const id = `${array.split === 'train' ? 'train' : 'val'}${array.number}-${String(i).padStart(6, '0')}`
        scans.push(asScan(id, array, voxels[i]!))
        byLabel[label] ??= []
        byLabel[label].push({ id, instance: i, resolution: array.number - 1, split: array.split })
      }
    }
  } finally {
    task.end()
  }
  const classes = Array.from({ length: byLabel.length }, (_, label) => asClass(label, byLabel[label], patch, folder))
  const cubes = (split: string) => arrays.filter((a) => a.split === split).reduce((sum, a) => sum + a.cubes, 0)
  const note = `Read ${counted(classes.length, 'published pattern')} from ${folder}: ${counted(cubes('train'), 'training cube')} and ${counted(cubes('validation'), 'held-out cube')} of ${extentsText(patch)} voxels.`
  progress.say(note)
  const patterns: PatternSet = {
    version: 1,
    seed: 0,
    patch: [...patch],
    frame: 'voxel',
    scans: scans.map(({ id, shape }) => ({ id, shape: [...shape] })),
    classes,
    notes: [note],
  }
  return { patterns, scans }
}

interface Pair {
  readonly data: string
  readonly labels: string
  readonly split: 'train' | 'validation'
  /** 1 to 9, in the file's name. */
  readonly number: number
}

/** One array of cubes, its header read and checked. */
export interface PublishedArray extends Pair {
  readonly path: string
  readonly header: NpyHeader
  readonly cubes: number
  readonly shape: Extents
}

interface Entry {
  readonly id: string
  readonly instance: number
  readonly resolution: number
  readonly split: 'train' | 'validation'
}

async function findPairs(folder: string): Promise<Pair[]> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    throw new SemgenError('IO', `The folder ${folder} could not be read.`, { cause: error })
  }
  const pairs = names.sort().flatMap((name): Pair[] => {
    const match = dataName.exec(name)
    if (!match || match[2] === '0') return []
    const labels = name.replace('_data', '_label')
    if (!names.includes(labels))
      throw new SemgenError('BAD_FILE', `${join(folder, name)} has no labels: ${labels} is not beside it.`)
    const split = match[1] === 'train' ? 'train' : 'validation'
    return [{ data: join(folder, name), labels: join(folder, labels), split, number: Number(match[2]) }]
  })
  if (!pairs.some(({ split }) => split === 'train'))
    throw new SemgenError(
      'NO_DATA',
      `${folder} holds no published patterns: there is no train_data1_....npy with its train_label1_....npy.`,
    )
  const keys = pairs.map(({ split, number }) => `${split} ${number}`)
  const twice = pairs.find((_, i) => keys.indexOf(keys[i]!) !== i)
  if (twice)
    throw new SemgenError('BAD_FILE', `${folder} holds several sets of patterns, among them ${twice.data}: keep one.`)
  return pairs
}

async function openArray(pair: Pair): Promise<PublishedArray> {
  const path = pair.data
  const header = await readNpyHeader(path)
  const [cubes = 0, ...rest] = header.shape
  // (N, X, Y, Z), with one channel before or behind or none: the voxels lie alike.
  const shape = rest.length === 4 ? (rest[0] === 1 ? rest.slice(1) : rest[3] === 1 ? rest.slice(0, 3) : rest) : rest
  if (shape.length !== 3 || shape.some((extent) => !(extent >= 1 && extent <= largestCube)))
    throw new SemgenError(
      'BAD_FILE',
      `${path} is an array of ${header.shape.join(' x ')}; expected are cubes, (N, X, Y, Z) of at most ${largestCube} voxels a side.`,
    )
  if (!(cubes >= 1 && cubes <= mostCubes))
    throw new SemgenError('BAD_FILE', `${path} holds ${cubes} cubes, and 1 to ${mostCubes} can be read.`)
  if (header.fortranOrder && cubes > 1)
    throw new SemgenError('UNSUPPORTED', `${path} is in Fortran order: save it with numpy.ascontiguousarray first.`)
  const voxels = voxelCount(shape as unknown as Extents)
  const { size } = await stat(path)
  const needed = header.offset + cubes * voxels * header.type.bytes
  if (size !== needed)
    throw new SemgenError('BAD_FILE', `${path} has ${size} bytes, and its header announces ${needed}: it is damaged.`)
  return { ...pair, path, header, cubes, shape: shape as unknown as Extents }
}

/** Labels as class numbers: (N), (N, 1), or one-hot (N, C). */
async function readLabels({ labels: path, cubes }: PublishedArray): Promise<number[]> {
  const { shape, type, offset, littleEndian, fortranOrder } = await readNpyHeader(path)
  const [count = 0, width = 1] = shape
  const fits = shape.length <= 2 && count === cubes && width >= 1 && width <= mostClasses && cubes * width <= 2 ** 28
  if (!fits || (fortranOrder && width > 1))
    throw new SemgenError(
      'BAD_FILE',
      `${path} is an array of ${shape.join(' x ')}; expected are ${cubes} labels, one for each cube (or a row of a one-hot code).`,
    )
  const bytes = await readBytes(path, count * width * type.bytes, offset)
  const values = voxelsFrom(type, bytes, 0, count * width, littleEndian)
  return Array.from({ length: count }, (_, i) => {
    const row = values.subarray(i * width, (i + 1) * width)
    const label = width === 1 ? row[0]! : row.indexOf(1)
    const hot = width === 1 || row.every((value, at) => value === (at === label ? 1 : 0))
    if (!Number.isInteger(label) || label < 0 || label >= mostClasses || !hot)
      throw new SemgenError('BAD_FILE', `${path}: label ${i} is ${shown([...row.slice(0, 8)])}, no class number.`)
    return label
  })
}

function asScan(id: string, { path, split, shape }: PublishedArray, voxels: Uint16Array): PreparedScan {
  return {
    id,
    path,
    patient: id,
    split,
    modality: 'ct',
    shape,
    // The arrays say nothing of it.
    spacing: [1, 1, 1],
    affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    window: [-1000, 1000],
    voxels,
    body: { low: [0, 0, 0], high: shape },
  }
}

/** Instance by instance, each in all its resolutions, then the held-out ones. */
function asClass(label: number, entries: Entry[] | undefined, patch: Extents, folder: string): PatternClass {
  if (!entries)
    throw new SemgenError('BAD_FILE', `The labels in ${folder} skip pattern ${label}: each of them needs cubes.`)
  const rank = ({ split, instance, resolution }: Entry) =>
    (split === 'train' ? 0 : mostCubes * 10) + instance * 10 + resolution
  const sorted = entries.sort((a, b) => rank(a) - rank(b))
  return {
    reference: sorted[0]!.id,
    coordinate: [0, 0, 0],
    crops: sorted.map(({ id, split, resolution }) => ({
      scan: id,
      start: [0, 0, 0],
      size: [...patch],
      split,
      resolution,
    })),
  }
}
