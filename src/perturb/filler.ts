import { addon } from '../engine/addon.js'
import type { NativeCubeFiller } from '../engine/cubes-addon.js'
import type { Engine, Tensor } from '../engine/index.js'
import { fromNative } from '../engine/native-error.js'
import type { Extents } from '../extents.js'
import { type CubeRequest, checkDraws, type Scan } from './cubes.js'

export interface CubeFillerOptions {
  /** Scans that most boxes will come from. Their voxels must not change. */
  readonly scans: Iterable<Scan>
  /**
   * Bytes of them that may be kept in a card's memory, until tensors or programs need it; boxes of others are brought
   * batch by batch. Default 0.
   */
  readonly residentBytes?: number
  /**
   * Bytes there for such boxes and for scratch, 256 MiB unless told: enough for 64 cubes of the published size. A batch
   * that needs more is made in parts.
   */
  readonly batchBytes?: number
  /** Threads for what the host does; the engine's unless told. They change no bit of the cubes. */
  readonly threads?: number
}

/** Makes batches of training cubes where an engine keeps its tensors: the same bits on every engine. */
export class CubeFiller {
  readonly engine: Engine
  readonly #native: NativeCubeFiller

  constructor(engine: Engine, options: CubeFillerOptions) {
    const { scans, residentBytes = 0, batchBytes = 2 ** 28, threads = engine.threads } = options
    this.engine = engine
    try {
      this.#native = new (addon(engine.device).CubeFiller)(
        engine.native,
        [...scans],
        residentBytes,
        batchBytes,
        threads,
      )
    } catch (error) {
      throw fromNative(error)
    }
  }

  /**
   * Fills the first cubes of float32 tensors, off the JavaScript thread, and while programs run that do not use them:
   * `original` as fillCubes does, the targets; `perturbed`, unless it is undefined, with the inputs.
   * @throws SemgenError BAD_OPTION when a request, the shape or a tensor does not fit (nothing is written then);
   *   OUT_OF_MEMORY
   */
  async fill(requests: readonly CubeRequest[], shape: Extents, original: Tensor, perturbed?: Tensor): Promise<void> {
    checkDraws(requests, shape)
    try {
      await this.#native.fill(requests, shape, original.native, perturbed?.native)
    } catch (error) {
      throw fromNative(error)
    }
  }

  /** Bytes of scans that lie in the card's memory now. */
  get residentBytes(): number {
    return this.#native.residentBytes()
  }

  /** Gives the memory back, after a fill under way; the filler cannot be used after. */
  dispose(): void {
    this.#native.release()
  }
}
