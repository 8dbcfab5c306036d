/**
 * What the launches of one kernel did together, as the simulator counts it (cuda/simulator/simulator.h). A sector is 32
 * bytes of global memory; bank conflicts are the passes over shared memory's banks beyond what accesses need at best.
 */
export interface KernelCounters {
  readonly kernel: string
  readonly launches: number
  readonly blocks: number
  readonly threads: number
  readonly sectorsRead: number
  readonly sectorsReadIdeal: number
  readonly sectorsWritten: number
  readonly sectorsWrittenIdeal: number
  /** Each counted once a launch. */
  readonly distinctSectorsRead: number
  readonly distinctSectorsWritten: number
  /** Of global memory, as threads asked for them. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly sharedWavefronts: number
  readonly bankConflicts: number
  readonly mmaBf16: number
  readonly mmaTf32: number
  readonly tensorFlop: number
  readonly barriers: number
  /** Bytes a block, of the latest launch; so are grid and block. */
  readonly dynamicShared: number
  readonly grid: readonly [number, number, number]
  readonly block: readonly [number, number, number]
  /** Of the host. */
  readonly seconds: number
}

/** Present in the sim engine's addon only. */
export interface SimulatorAddon {
  readonly simulator?: {
    /** By kernel, in order of name, since the start or the last reset. */
    counters(): KernelCounters[]
    resetCounters(): void
    /** The order of threads between barriers and of blocks. Results must not depend on it. */
    setSeed(seed: number): void
  }
}
