import type { Extents } from '../extents.js'
import type { PatchRequest } from '../transfer/patches.js'

/** The part of every addon that cuts patches of supervised tasks (binding/patches.cpp). Only src/transfer touches it. */
export interface PatchesAddon {
  fillPatches(
    requests: readonly PatchRequest[],
    shape: Extents,
    codes: readonly number[],
    outputs: number,
    input: Float32Array,
    target: Float32Array | undefined,
    threads: number,
  ): Promise<void>
}
