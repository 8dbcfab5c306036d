import type { Extents } from '../extents.js'
import type { CubeRequest, Scan } from '../perturb/cubes.js'
import type { NativeEngine, NativeTensor } from './engine-addon.js'

/**
 * The part of every addon that makes training cubes (binding/cubes.cpp, cube_filler.cpp). Only src/perturb touches it, and
 * src/volumes to resize scans.
 */
export interface CubesAddon {
  readonly CubeFiller: new (
    engine: NativeEngine,
    scans: readonly Scan[],
    residentBytes: number,
    batchBytes: number,
    threads: number,
  ) => NativeCubeFiller
  fillCubes(
    requests: readonly CubeRequest[],
    shape: Extents,
    original: Float32Array,
    perturbed: Float32Array | undefined,
    threads: number,
  ): Promise<void>
  resizeScan(scan: Scan, shape: Extents, threads: number): Promise<Float32Array>
}

export interface NativeCubeFiller {
  fill(
    requests: readonly CubeRequest[],
    shape: Extents,
    original: NativeTensor,
    perturbed: NativeTensor | undefined,
  ): Promise<void>
  residentBytes(): number
  release(): void
}
