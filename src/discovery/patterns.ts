import { z } from 'zod'
import { SemgenError, shown } from '../errors.js'
import type { Extents } from '../extents.js'
import { extentsText } from '../extents.js'
import { readJson, writeAtomically } from '../files.js'
import { counted } from '../format.js'

/** patterns.json: the discovered classes as references into prepared scans. No voxels are kept, so it stays small. */

/** Limits of what native code takes (boxes) and of what is sensible (counts): nothing is allocated by what a file says. */
const mostClasses = 100_000
const mostCrops = 10_000_000
const largestBox = 32_768
const farthest = 2 ** 30

const scanId = z.string().min(1).max(4096)
const extent = z.number().int().min(1).max(largestBox)
const extents = z.tuple([extent, extent, extent])
const position = z.number().int().min(-farthest).max(farthest)

const crop = z.strictObject({
  scan: scanId,
  /** First voxel of the prepared scan; may lie outside it where the scan is smaller than the box: edge voxels repeat. */
  start: z.tuple([position, position, position]),
  /** Voxels of the prepared scan, before the box is brought to the patch. */
  size: extents,
  split: z.enum(['train', 'validation']),
  /** 0: the coordinate's own box; 1 and 2: the other resolutions of the same instance. */
  resolution: z.number().int().min(0).max(9),
})

const patternClass = z.strictObject({
  /** The training scan whose coordinate was drawn, first among its neighbours. */
  reference: scanId,
  /** Body frame: the box's centre in parts of the body box. Voxel frame: the box's first voxel. */
  coordinate: z.tuple([z.number(), z.number(), z.number()]),
  /** Neighbour by neighbour, nearest first, each in all its resolutions; then the held-out ones. */
  crops: z.array(crop).min(1),
})

const embedding = z.strictObject({
  /** The auto-encoder's shape (NetworkShape). */
  network: z.record(z.string(), z.unknown()),
  /** Values of a scan's latent vector. */
  latent: z.number().int().min(1),
  /** Epochs trained, and the one whose weights were kept. */
  epochs: z.number().int().min(0),
  bestEpoch: z.number().int().min(0),
  /** Mean squared error of the kept weights on held-out scans (on the training scans where none are held out). */
  loss: z.number(),
  /** For some scans, the ones nearest to them and their Euclidean distances in latent space. */
  nearest: z.array(
    z.strictObject({
      scan: scanId,
      neighbours: z.array(z.strictObject({ scan: scanId, distance: z.number().min(0) })),
    }),
  ),
})

export const patternSet = z.strictObject({
  version: z.literal(1),
  seed: z.number().int().min(0),
  /** Voxels that every box is brought to. */
  patch: extents,
  /** What a coordinate means in another scan: the same place in the body box, or the same voxel index. */
  frame: z.enum(['body', 'voxel']),
  /** Body frame: the size of a box of resolution 0 in every scan. */
  millimetres: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]).optional(),
  /** Prepared scans that crops refer to, with their extents then. */
  scans: z.array(z.strictObject({ id: scanId, shape: extents })),
  classes: z.array(patternClass).min(1).max(mostClasses),
  embedding: embedding.optional(),
  /** What was chosen, adapted or relaxed, in sentences for people. */
  notes: z.array(z.string()),
})

export type PatternSet = z.infer<typeof patternSet>
export type PatternClass = PatternSet['classes'][number]
export type PatternCrop = PatternClass['crops'][number]
export type EmbeddingSummary = NonNullable<PatternSet['embedding']>

/**
 * Reads patterns.json.
 * @throws SemgenError IO, or BAD_FILE when it is no pattern set of this version
 */
export async function readPatterns(path: string): Promise<PatternSet> {
  const content = await readJson(path, 2 ** 30)
  const version = (content as { version?: unknown } | null)?.version
  if (version !== undefined && version !== 1)
    throw new SemgenError('BAD_FILE', `${path} has version ${shown(version)} and this program reads version 1.`)
  const parsed = patternSet.safeParse(content)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new SemgenError(
      'BAD_FILE',
      `${path} is no pattern set: ${issue?.path.length ? `${issue.path.join('.')}: ` : ''}${issue?.message}.`,
    )
  }
  const crops = parsed.data.classes.reduce((sum, { crops }) => sum + crops.length, 0)
  if (crops > mostCrops)
    throw new SemgenError('BAD_FILE', `${path} lists ${crops} crops, and ${mostCrops} are the most that are read.`)
  return parsed.data
}

/** Writes patterns.json. @throws SemgenError IO */
export async function writePatterns(path: string, patterns: PatternSet): Promise<void> {
  await writeAtomically(path, patternText(patterns))
}

/** One line a class and a crop: a person can read it, and a large set is not held as one string. */
function* patternText(patterns: PatternSet): Iterable<Uint8Array> {
  const encoder = new TextEncoder()
  const { classes, ...rest } = patterns
  yield encoder.encode(`${JSON.stringify(rest, null, 1).slice(0, -2)},\n "classes": [\n`)
  for (const [i, { crops, ...about }] of classes.entries()) {
    const lines = crops.map((crop) => `   ${JSON.stringify(crop)}`).join(',\n')
    const head = JSON.stringify(about).slice(0, -1)
    yield encoder.encode(`  ${head}, "crops": [\n${lines}\n  ]}${i < classes.length - 1 ? ',' : ''}\n`)
  }
  yield encoder.encode(' ]\n}\n')
}

/**
 * Checks that patterns can be cropped out of these scans: every scan is there, as large as it was and in the same part, and
 * every box holds at least one of its voxels.
 * @param path named in errors
 * @throws SemgenError NO_DATA when a scan is missing or in another part, BAD_FILE when a box or a scan's extents do not fit
 */
export function checkPatterns(
  path: string,
  patterns: PatternSet,
  scans: readonly { readonly id: string; readonly shape: Extents; readonly split: string }[],
): void {
  const shapes = new Map(scans.map(({ id, shape }) => [id, shape]))
  const missing = new Set<string>()
  for (const { crops } of patterns.classes) for (const { scan } of crops) if (!shapes.has(scan)) missing.add(scan)
  if (missing.size > 0) {
    const [first] = missing
    throw new SemgenError(
      'NO_DATA',
      `${path} crops from ${counted(missing.size, 'scan')} that the cohort does not have, such as ${shown(first)}: give the scans that the patterns were discovered in.`,
    )
  }
  // A held-out scan that patterns call a training scan would be trained on.
  const parts = new Map(scans.map(({ id, split }) => [id, split]))
  const moved = patterns.classes.flatMap(({ crops }) => crops).find(({ scan, split }) => split !== parts.get(scan))
  if (moved)
    throw new SemgenError(
      'NO_DATA',
      `${path} has scan ${shown(moved.scan)} in the ${moved.split} part, and it is in the ${parts.get(moved.scan)} part now: give the same --split and --seed, or a manifest with the parts.`,
    )
  for (const { id, shape } of patterns.scans) {
    const now = shapes.get(id)
    if (now?.some((extent, axis) => extent !== shape[axis]))
      throw new SemgenError(
        'BAD_FILE',
        `${path} was made when scan ${shown(id)} had ${extentsText(shape)} voxels, and it has ${extentsText(now)} now: prepare it with the same --spacing, or discover again.`,
      )
  }
  for (const [label, { crops }] of patterns.classes.entries())
    for (const { scan, start, size } of crops) {
      const shape = shapes.get(scan)!
      if (start.some((first, axis) => first >= shape[axis]! || first + size[axis]! <= 0))
        throw new SemgenError(
          'BAD_FILE',
          `${path}: a crop of pattern ${label} starts at ${start.join(', ')}, outside scan ${shown(scan)} of ${extentsText(shape)} voxels.`,
        )
    }
}
