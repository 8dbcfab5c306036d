import type { Extents } from '../extents.js'
import type { CubeRequest, Scan } from '../perturb/cubes.js'

/** The part of every addon that makes training cubes (binding/cubes.cpp). Only src/perturb/cubes.ts touches it. */
export interface CubesAddon {
  fillCubes(
    requests: readonly CubeRequest[],
    shape: Extents,
    original: Float32Array,
    perturbed: Float32Array | undefined,
    threads: number,
  ): Promise<void>
  resizeScan(scan: Scan, shape: Extents, threads: number): Promise<Float32Array>
}
