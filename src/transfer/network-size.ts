import type { Extents } from '../extents.js'
import type { NetworkShape } from '../nn/index.js'
import { depthFor } from '../training/fit.js'

/** The published depth, and the most that is taken unasked. */
export const usualDepth = 4
/** The published patch is 64 x 64 x 32. */
const largest = 64

/**
 * The median of the images' extents along each axis, in whole numbers of what the depth halves, at most 64.
 * @param round Math.floor for patches that are to lie within most images, Math.round where images are resized to it
 */
export function patchFor(
  shapes: readonly Extents[],
  depth: number,
  round: (extent: number) => number = Math.floor,
): NetworkShape['patch'] {
  const step = 2 ** (depth - 1)
  return [0, 1, 2].map((axis) => {
    const extents = shapes.map((shape) => shape[axis]!).sort((a, b) => a - b)
    const median = extents[extents.length >> 1]!
    return Math.max(step, Math.min(largest, round(median / step) * step))
  }) as unknown as NetworkShape['patch']
}

/**
 * Voxels along each axis that are left at the bottleneck where nobody says the depth: four, and not pre-training's two. A
 * step has four patches here and sixteen cubes there, and batch normalisation takes its statistics over all of their voxels.
 */
const bottom = 4

/** As many levels as leave four voxels at the bottleneck, at most the published four. */
export const finetuneDepth = (patch: NetworkShape['patch']): number => depthFor(patch, bottom)
