import type { Extents } from '../extents.js'

/** What a coordinate means in another scan. */
export type FrameName = 'body' | 'voxel'

/**
 * What discovery is asked. The command line's options have the same names, so they can be handed over as they are;
 * whatever is undefined is fitted to cohort, device and time, and said aloud.
 */
export interface DiscoveryOptions {
  readonly seed: number
  /** `body` (usual): the same place in the body's box. `voxel`: the same voxel index, by the published rules. */
  readonly frame: FrameName
  /** C: patterns to find. */
  readonly classes?: number | undefined
  /** K: training scans in a pattern, the reference among them. */
  readonly neighbours?: number | undefined
  /** Held-out scans in a pattern. */
  readonly validationNeighbours?: number | undefined
  /** Voxels of a crop and of the network's input. */
  readonly patch?: Extents | undefined
  /** Voxels that a reference's box keeps from the borders: of the scan (voxel frame) or of the body box (body frame). */
  readonly borders?: Extents | undefined
  /** Least distance of two coordinates. Voxel frame: voxels, 5 as published. Body frame: parts of the patch. */
  readonly separation?: number | undefined
  /** Highest mean density score of a reference's box (CT): 0.15 as published; 1 accepts every box. */
  readonly density?: number | undefined
  /** The auto-encoder. */
  readonly embeddingWidth?: number | undefined
  readonly embeddingInput?: Extents | undefined
  readonly embeddingEpochs?: number | undefined
  readonly embeddingSkips?: boolean | undefined
  readonly embeddingBatch?: number | undefined
  /** Seconds that the auto-encoder's training may take. */
  readonly maxTime?: number | undefined
  /** Go on from embedding.safetensors in the folder, where there is one. */
  readonly resume?: boolean | undefined
  /** Threads of preparation; the engine has its own. */
  readonly threads?: number | undefined
}
