import type { Extents } from '../extents.js'
import { Random } from '../random.js'

/** A box of a prepared scan that becomes one cube, and the pattern it belongs to. */
export interface Crop {
  /** Id of the prepared scan. */
  readonly scan: string
  /** First voxel; may lie outside the scan, whose border then repeats. */
  readonly start: Extents
  /** Voxels of the box, before it is brought to the patch. */
  readonly size: Extents
  /** Pattern number; 0 where there are no patterns. */
  readonly label: number
}

/** The crops of a split: `size` of them in each pass, numbered from 0. */
export interface CropSource {
  readonly size: number
  /** The crop of (pass, index): always the same one. */
  crop(pass: number, index: number): Crop
}

/** What is needed of discovered patterns (PatternSet has more). */
export interface Patterns {
  readonly classes: readonly {
    readonly crops: readonly {
      readonly scan: string
      readonly start: Extents
      readonly size: Extents
      readonly split: string
    }[]
  }[]
}

/**
 * The crops of discovered patterns, the same in every pass: every instance, in every resolution. They are ordered
 * instance by instance across the patterns, so that the first of them hold all patterns alike.
 */
export function patternCrops(patterns: Patterns, split: 'train' | 'validation'): CropSource {
  const byClass = patterns.classes.map(({ crops }, label) =>
    crops.filter((crop) => crop.split === split).map(({ scan, start, size }): Crop => ({ scan, start, size, label })),
  )
  const crops: Crop[] = []
  const longest = Math.max(0, ...byClass.map(({ length }) => length))
  for (let instance = 0; instance < longest; instance++)
    for (const of of byClass) crops.push(...of.slice(instance, instance + 1))
  return { size: crops.length, crop: (_, index) => crops[index]! }
}

/** The first crops of a source. */
export function firstCrops(source: CropSource, most: number): CropSource {
  return { size: Math.min(most, source.size), crop: (pass, index) => source.crop(pass, index) }
}

/** What is needed of a prepared scan. */
export interface CropScan {
  readonly id: string
  readonly shape: Extents
  /** (x, y, z), z fastest; value / 65535 is the intensity in [0, 1]. */
  readonly voxels: Uint16Array
}

export interface RandomCropOptions {
  readonly patch: Extents
  readonly seed: number
  /** Names the random stream: "train" and "validation" differ. */
  readonly purpose: string
  /** Crops of each scan in a pass: 32 in Models Genesis. */
  readonly perScan: number
}

/** Boxes tried before the fullest of them is taken. */
const tries = 8

/**
 * Random crops, others in each pass, where no patterns are needed. As with patterns, one in three has the patch's own
 * size, the others 50/64 to 80/64 of it in x and y. Boxes of nothing but background teach nothing: a box is taken when a
 * quarter of it is brighter than 2 % of the range, else the fullest of eight.
 */
export function randomCrops(scans: readonly CropScan[], options: RandomCropOptions): CropSource {
  const { patch, seed, purpose, perScan } = options
  return {
    size: scans.length * perScan,
    crop(pass, index) {
      const scan = scans[index % scans.length]!
      const random = new Random(seed, `crops/${purpose}`, pass, index)
      const scale = (extent: number) =>
        random.chance(1 / 3) ? extent : Math.max(1, Math.round(extent * random.uniform(50 / 64, 80 / 64)))
      const size: Extents = [scale(patch[0]), scale(patch[1]), patch[2]]
      let best: { start: Extents; fullness: number } | undefined
      for (let attempt = 0; attempt < tries && (best?.fullness ?? 0) < 0.25; attempt++) {
        const start: Extents = [
          place(random, scan.shape[0], size[0]),
          place(random, scan.shape[1], size[1]),
          place(random, scan.shape[2], size[2]),
        ]
        const fullness = shareOfTissue(scan, start, size)
        if (!best || fullness > best.fullness) best = { start, fullness }
      }
      return { scan: scan.id, start: best!.start, size, label: 0 }
    },
  }
}

/** Anywhere within the scan; in its middle where the box is the longer one. */
function place(random: Random, extent: number, size: number): number {
  return extent > size ? random.integer(0, extent - size + 1) : Math.floor((extent - size) / 2)
}

/** The share of a 5 x 5 x 5 grid of the box's voxels that are above 2 % of the range. */
function shareOfTissue({ shape, voxels }: CropScan, start: Extents, size: Extents): number {
  const points = ([0, 1, 2] as const).map((axis) =>
    [0, 1, 2, 3, 4].map((i) => {
      const at = start[axis] + Math.floor(((i + 0.5) / 5) * size[axis])
      return Math.min(Math.max(at, 0), shape[axis] - 1)
    }),
  ) as [number[], number[], number[]]
  let above = 0
  for (const x of points[0])
    for (const y of points[1])
      for (const z of points[2]) if (voxels[(x * shape[1] + y) * shape[2] + z]! > 0.02 * 65535) above++
  return above / 125
}
