import type { Extents } from '../extents.js'
import { extentsText } from '../extents.js'
import { duration, whole } from '../format.js'
import { trainingFlops } from '../learning/flops.js'
import { type NetworkShape, publishedYNet } from '../nn/index.js'
import type { StageLosses } from './recipes.js'

/** Fewer training cubes than this teach a network little; a size is chosen so that at least so many fit the time. */
const enoughCubes = 10_000
/** Fewer optimizer steps than this, and the batch is too large; but smaller than the least it is not made for that. */
const enoughSteps = 3000
/** Cubes of a batch that tell patterns apart: with 4, a stage that had 10,000 cubes hardly learnt to. */
const leastBatch = 16
/** The time a run may take when nobody says: a night. */
export const nightSeconds = 8 * 3600

/** Sizes to choose from, the widest first: base width, and the part of the cohort's patch along each axis. */
const sizes = [
  { baseWidth: 32, part: 1 },
  { baseWidth: 24, part: 1 },
  { baseWidth: 16, part: 1 },
  { baseWidth: 16, part: 0.75 },
  { baseWidth: 16, part: 0.5 },
  { baseWidth: 12, part: 0.5 },
  { baseWidth: 8, part: 0.5 },
] as const

export interface Wishes {
  readonly baseWidth?: number | undefined
  readonly depth?: number | undefined
  readonly patch?: Extents | undefined
}

export interface Size {
  readonly baseWidth: number
  readonly depth: number
  readonly patch: Extents
}

export interface FitSituation {
  /** The patch that suits the scans (choosePatch of discovery). */
  readonly patch: Extents
  /** Seconds there are to train. */
  readonly seconds: number
  /** What the engine does, measured: floating-point operations a second. */
  readonly flopsPerSecond: number
  /** The losses of the costliest stage. */
  readonly losses: StageLosses
}

/**
 * The size of network and patch that fits scans, device and time: the largest with which enough cubes can be learnt
 * from. What is wished for is kept.
 * @returns the size, and why, as a sentence for people
 */
export function fitSize(wishes: Wishes, situation: FitSituation): { size: Size; why: string } {
  const candidates = sizes
    .map(({ baseWidth, part }) => sized(wishes, situation.patch, wishes.baseWidth ?? baseWidth, part))
    .map((size) => ({ size, cubes: cubesIn(size, situation) }))
  const found = candidates.find(({ cubes }) => cubes >= enoughCubes) ?? candidates.at(-1)!
  const { size } = found
  const chosen = [
    wishes.baseWidth === undefined ? `base width ${size.baseWidth}` : '',
    wishes.depth === undefined ? `depth ${size.depth}` : '',
    wishes.patch === undefined ? `patch ${extentsText(size.patch)}` : '',
  ].filter((text) => text)
  const why =
    `${chosen.join(', ')}: about ${whole(found.cubes)} training cubes fit ${duration(situation.seconds)} here` +
    ` (published: base width 32, depth 4, patch 64 x 64 x 32).`
  return { size, why: why.charAt(0).toUpperCase() + why.slice(1) }
}

/** Whether anything is left to choose. */
export const decided = ({ baseWidth, depth, patch }: Wishes): boolean =>
  baseWidth !== undefined && depth !== undefined && patch !== undefined

function sized(wishes: Wishes, widest: Extents, baseWidth: number, part: number): Size {
  const depth = wishes.depth ?? depthFor(wishes.patch ?? widest)
  return { baseWidth, depth, patch: wishes.patch ?? partOf(widest, depth, part) }
}

/** A part of a patch, in multiples of what the network halves, with two voxels left at the bottleneck. */
export function partOf(patch: Extents, depth: number, part: number): Extents {
  const multiple = 2 ** (depth - 1)
  const along = (extent: number) => Math.max(2, Math.round((extent * part) / multiple)) * multiple
  return [along(patch[0]), along(patch[1]), along(patch[2])]
}

/**
 * The most levels, four as published, that leave `bottom` voxels of the patch along each axis at the bottleneck: two are
 * enough where batches are of `leastBatch` cubes.
 */
export function depthFor(patch: Extents, bottom = 2): number {
  const fits = (depth: number) =>
    patch.every((extent) => extent % 2 ** (depth - 1) === 0 && extent >= bottom * 2 ** (depth - 1))
  return [4, 3].find(fits) ?? 2
}

function cubesIn(size: Size, { seconds, flopsPerSecond, losses }: FitSituation): number {
  const shape: NetworkShape = { ...publishedYNet(50), ...size }
  return (seconds * flopsPerSecond) / trainingFlops(shape, losses)
}

/**
 * Cubes a step: 64 as published, fewer where a pass, the memory or the number of steps would suffer; a power of two.
 * @param limits cubes that fit the time, cubes of a pass, and bytes: of one cube in a step, and those that may be used
 */
export function fitBatch(limits: {
  readonly cubes: number
  readonly pass: number
  readonly bytesPerCube: number
  readonly memory: number
}): number {
  const most = Math.min(64, limits.pass, limits.memory / limits.bytesPerCube)
  const forSteps = Math.max(leastBatch, limits.cubes / enoughSteps)
  return 2 ** Math.floor(Math.log2(Math.max(1, Math.min(most, forSteps))))
}
