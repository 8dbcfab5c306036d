import { availableParallelism } from 'node:os'
import type { OutputCodes } from '../cases/outputs.js'
import { addon } from '../engine/addon.js'
import { fromNative } from '../engine/native-error.js'
import type { Extents } from '../extents.js'
import type { Scan } from '../perturb/index.js'

/** Three rows of four: voxel (x, y, z, 1) of a patch -> voxel of the scan it is cut from. */
export type Place = readonly number[]

/** One patch to be cut out of a case. */
export interface PatchRequest {
  /** The case's images, on one grid. */
  readonly channels: readonly Scan[]
  /** One label a voxel, on the same grid; without them there is nothing to predict. */
  readonly labels?: Uint8Array | undefined
  readonly place: Place
  /** An intensity v of [0, 1] becomes gain * v + offset. Outside of the scan it stays 0. */
  readonly gain: number
  readonly offset: number
}

/** The place of a patch that begins at a voxel, cut as the scan lies. */
export const placeAt = ([x, y, z]: Extents): Place => [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z]

/**
 * Cuts patches off the JavaScript thread: images linearly interpolated, labels from the nearest voxel; whole shifts copy.
 *
 * `input` receives [requests, shape, channels], `target`, unless it is undefined, [requests, shape, outputs]: 1 where a
 * voxel's label belongs to the output, else 0. The arrays and voxels must stay as they are until the promise settles.
 * @throws SemgenError BAD_OPTION when a request, a shape or an array does not fit; nothing is written then
 */
export async function fillPatches(
  requests: readonly PatchRequest[],
  shape: Extents,
  { codes, outputs }: OutputCodes,
  input: Float32Array,
  target?: Float32Array,
  threads: number = availableParallelism(),
): Promise<void> {
  try {
    await addon().fillPatches(requests, shape, codes, outputs, input, target, threads)
  } catch (error) {
    throw fromNative(error)
  }
}
