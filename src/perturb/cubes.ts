import { availableParallelism } from 'node:os'
import { addon } from '../engine/addon.js'
import { fromNative } from '../engine/native-error.js'
import { SemgenError } from '../errors.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import type { Perturbation } from './draw.js'

/** A prepared scan, (x, y, z) with z fastest; a voxel's intensity in [0, 1] is value / 65535. */
export interface Scan {
  readonly voxels: Uint16Array
  readonly shape: Extents
}

/** One cube to be made: a box of a scan. */
export interface CubeRequest {
  readonly scan: Scan
  /** The box's first voxel. It may lie outside the scan, whose border voxels then repeat. */
  readonly start: Extents
  /** The box's voxels; brought to the cube's shape by linear interpolation, with averaging where it shrinks. */
  readonly size: Extents
  /** Drawn for the cube's shape. Without one the cube stays as it is. */
  readonly perturbation?: Perturbation
}

export interface CubeOptions {
  /** Threads to work on; as many as there are processors unless told. They change no bit of the result. */
  readonly threads?: number
}

/**
 * Cuts, resizes and perturbs a batch of cubes in one call off the JavaScript thread.
 *
 * `original` receives the cubes as they are (mirrored where the draw says so): the targets. `perturbed`, unless it is
 * undefined, receives them perturbed: the inputs. Both are (requests, shape) with z fastest. The arrays and the scans'
 * voxels must stay as they are until the promise settles.
 * @throws SemgenError BAD_OPTION when a request, a shape or an array does not fit; nothing is written then.
 */
export async function fillCubes(
  requests: readonly CubeRequest[],
  shape: Extents,
  original: Float32Array,
  perturbed?: Float32Array,
  options: CubeOptions = {},
): Promise<void> {
  checkDraws(requests, shape)
  const values = requests.length * voxelCount(shape)
  for (const [name, array] of Object.entries({ original, perturbed }))
    if (array && array.length < values)
      throw new SemgenError(
        'BAD_OPTION',
        `${requests.length} cubes of ${extentsText(shape)} need ${values} values, but the array for the ${name} ones has ${array.length}.`,
      )
  try {
    await addon().fillCubes(requests, shape, original, perturbed, options.threads ?? availableParallelism())
  } catch (error) {
    throw fromNative(error)
  }
}

/** @throws SemgenError BAD_OPTION when a perturbation was drawn for cubes of another shape. */
export function checkDraws(requests: readonly CubeRequest[], shape: Extents): void {
  for (const { perturbation } of requests)
    if (perturbation && extentsText(perturbation.shape) !== extentsText(shape))
      throw new SemgenError(
        'BAD_OPTION',
        `A perturbation drawn for ${extentsText(perturbation.shape)} voxels was given for a cube of ${extentsText(shape)}.`,
      )
}

/**
 * A whole scan brought to `shape`, (x, y, z) with z fastest, in [0, 1]: linear interpolation on axes that grow, averaging
 * under a triangle on axes that shrink. It is what the auto-encoder sees of a scan.
 * @throws SemgenError BAD_OPTION when the scan or the shape cannot be used.
 */
export async function resizeScan(scan: Scan, shape: Extents, options: CubeOptions = {}): Promise<Float32Array> {
  try {
    return await addon().resizeScan(scan, shape, options.threads ?? availableParallelism())
  } catch (error) {
    throw fromNative(error)
  }
}
