import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { Random } from '../random.js'
import { canonical, readVolume } from '../volumes/index.js'
import { type LabelName, labelNames, labelOf } from './tissues.js'

/** A box of voxels of a scan. It may reach over the border, where the nearest voxel counts again. */
export interface Crop {
  readonly scan: string
  readonly start: Extents
  readonly size: Extents
}

/** A label map in the voxels that crops are counted in, z fastest. */
export interface LabelMap {
  readonly shape: Extents
  readonly data: Uint8Array
}

/** Tissue that is everywhere, and so says nothing of where a crop lies. */
export const ignoredLabels: readonly LabelName[] = ['background', 'skin', 'fat', 'muscle']
const ignored: ReadonlySet<number> = new Set(ignoredLabels.map(labelOf))

/** How often each label occurs in a crop. */
export function organHistogram({ start, size }: Crop, { shape, data }: LabelMap): Uint32Array {
  const histogram = new Uint32Array(256)
  const inside = (at: number, axis: 0 | 1 | 2): number => Math.max(0, Math.min(shape[axis] - 1, at))
  for (let x = start[0]; x < start[0] + size[0]; x++)
    for (let y = start[1]; y < start[1] + size[1]; y++) {
      const row = (inside(x, 0) * shape[1] + inside(y, 1)) * shape[2]
      for (let z = start[2]; z < start[2] + size[2]; z++) histogram[data[row + inside(z, 2)]!]!++
    }
  return histogram
}

/**
 * The organ that fills most of a crop, of all but background, skin, fat and muscle; of two that fill as much, the one
 * with the lower label. Undefined where there is none.
 */
export function dominantOrgan(crop: Crop, map: LabelMap): number | undefined {
  let best: number | undefined
  const histogram = organHistogram(crop, map)
  for (const [label, count] of histogram.entries())
    if (count > 0 && !ignored.has(label) && (best === undefined || count > histogram[best]!)) best = label
  return best
}

export interface CropClass {
  /** What most of the class's crops show. */
  readonly organ: LabelName | undefined
  /** Share of the class's crops that show it; a crop without any organ never does. */
  readonly purity: number
  readonly crops: number
}

/** The purity of one class of crops: the share whose dominant organ is the class's most frequent one. */
export function classPurity(crops: readonly Crop[], maps: ReadonlyMap<string, LabelMap>): CropClass {
  const votes = new Map<number, number>()
  for (const crop of crops) {
    const organ = dominantOrgan(crop, mapOf(maps, crop.scan))
    if (organ !== undefined) votes.set(organ, (votes.get(organ) ?? 0) + 1)
  }
  const [winner] = [...votes].sort(([a, votesA], [b, votesB]) => votesB - votesA || a - b)
  return {
    organ: winner && labelNames[winner[0]],
    purity: winner ? winner[1] / crops.length : 0,
    crops: crops.length,
  }
}

export interface Purity {
  /** Mean purity of the classes. */
  readonly mean: number
  /** Mean purity of as many classes of as many crops of the same sizes, taken from anywhere. */
  readonly random: number
  readonly classes: readonly CropClass[]
}

/**
 * How well classes of crops keep to one organ each, beside what crops from random places give. Random crops come from
 * the scans that have maps, and are drawn again (at most 50 times) until they show an organ, so that air around the body
 * does not make chance look worse than it is.
 * @param repeats how many sets of random classes are averaged
 */
export function measurePurity(
  classes: readonly (readonly Crop[])[],
  maps: ReadonlyMap<string, LabelMap>,
  { seed, repeats = 20 }: { seed: number; repeats?: number },
): Purity {
  if (classes.length === 0 || classes.some((crops) => crops.length === 0))
    throw new SemgenError('NO_DATA', 'Purity was asked of no classes, or of a class without crops.')
  const measured = classes.map((crops) => classPurity(crops, maps))
  let random = 0
  for (let repeat = 0; repeat < repeats; repeat++)
    for (const [i, crops] of classes.entries()) {
      const stream = new Random(seed, 'random crops', repeat, i)
      random += classPurity(
        crops.map(({ size }) => randomCrop(stream, size, maps)),
        maps,
      ).purity
    }
  return {
    mean: measured.reduce((sum, { purity }) => sum + purity, 0) / classes.length,
    random: random / (repeats * classes.length),
    classes: measured,
  }
}

function randomCrop(random: Random, size: Extents, maps: ReadonlyMap<string, LabelMap>): Crop {
  const names = [...maps.keys()]
  let crop: Crop
  let tries = 0
  do {
    const scan = random.pick(names)
    const { shape } = mapOf(maps, scan)
    const start = (axis: 0 | 1 | 2): number => random.integer(0, Math.max(1, shape[axis] - size[axis] + 1))
    crop = { scan, start: [start(0), start(1), start(2)], size }
    tries++
  } while (tries < 50 && dominantOrgan(crop, mapOf(maps, crop.scan)) === undefined)
  return crop
}

function mapOf(maps: ReadonlyMap<string, LabelMap>, scan: string): LabelMap {
  const map = maps.get(scan)
  if (!map) throw new SemgenError('NO_DATA', `There is no label map of scan ${scan}.`)
  return map
}

/**
 * Reads a label map as preparation turns scans that it does not resample: x to the right, y to the front, z up.
 * @throws SemgenError BAD_FILE, UNSUPPORTED or IO
 */
export async function readLabelMap(path: string): Promise<LabelMap> {
  const { scan } = canonical(await readVolume(path))
  const { shape, offset, strides } = scan
  const data = new Uint8Array(voxelCount(shape))
  for (let x = 0, index = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++)
        data[index++] = Number(scan.data[offset + x * strides[0] + y * strides[1] + z * strides[2]]!)
  return { shape, data }
}
