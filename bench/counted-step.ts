import { addon } from '../src/engine/addon.js'
import type { Engine } from '../src/engine/index.js'
import type { KernelCounters } from '../src/engine/simulator-addon.js'
import { type Architecture, type KernelResources, occupancy, resourceTable } from './occupancy.js'
import { noisyStep } from './training-step.js'

/** A kernel of a training step as the simulator counts it, with what nvcc says of its resources. */
export interface CountedKernel extends KernelCounters {
  /** Sectors of global memory as a multiple of the ideal; 1 where none is touched. */
  readonly readRatio: number
  readonly writtenRatio: number
  /** Bank conflicts as a share of the passes over shared memory. */
  readonly conflicts: number
  /** Sectors read and written, in bytes: what goes through L2 where L1 keeps nothing. */
  readonly l2Bytes: number
  /** The same with each sector counted once a launch: memory's traffic where L2 keeps what a launch uses again. */
  readonly memoryBytes: number
  /** Absent where the table of resources does not know the kernel. */
  readonly resources?: KernelResources & { readonly blocks: number; readonly occupancy: number }
}

/** A step's kernels, and what its operations come to as the contract writes them, each tensor read or written once. */
export interface CountedStep {
  readonly kernels: readonly CountedKernel[]
  readonly contract: { readonly bytes: number; readonly flops: number }
}

/** Counts one training step in the simulator. */
export async function countedStep(
  engine: Engine,
  options: Parameters<typeof noisyStep>[1],
  architecture: Architecture,
): Promise<CountedStep> {
  const simulator = addon('sim').simulator!
  const { kernels } = resourceTable()
  const { step } = noisyStep(engine, options)
  simulator.resetCounters()
  await step.run(1e-3)
  const { operations } = step.plan
  const sum = (read: (operation: (typeof operations)[number]) => number) =>
    operations.reduce((total, operation) => total + read(operation), 0)
  const contract = { bytes: sum(({ bytes }) => bytes), flops: sum(({ flops }) => flops) }
  step.dispose()
  const counters = simulator.counters().map((counted) => {
    const resources = kernels[counted.kernel]?.[architecture]
    const threads = counted.block[0] * counted.block[1] * counted.block[2]
    const held = resources && occupancy(resources, { threads, dynamicShared: counted.dynamicShared }, architecture)
    return {
      ...counted,
      readRatio: ratio(counted.sectorsRead, counted.sectorsReadIdeal),
      writtenRatio: ratio(counted.sectorsWritten, counted.sectorsWrittenIdeal),
      conflicts: counted.sharedWavefronts > 0 ? counted.bankConflicts / counted.sharedWavefronts : 0,
      l2Bytes: 32 * (counted.sectorsRead + counted.sectorsWritten),
      memoryBytes: 32 * (counted.distinctSectorsRead + counted.distinctSectorsWritten),
      ...(resources && held ? { resources: { ...resources, blocks: held.blocks, occupancy: held.share } } : {}),
    }
  })
  return { kernels: counters, contract }
}

const ratio = (found: number, ideal: number): number => (ideal > 0 ? found / ideal : 1)

/** The kernels for people, those that move most first. */
export function describeCounted({ kernels: counted, contract }: CountedStep): string {
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(2).padStart(9)
  const lines = [...counted]
    .sort((a, b) => b.memoryBytes - a.memoryBytes)
    .map(({ kernel, launches, readRatio, writtenRatio, conflicts, l2Bytes, memoryBytes, tensorFlop, resources }) =>
      [
        String(launches).padStart(8),
        mib(memoryBytes),
        mib(l2Bytes),
        readRatio.toFixed(2).padStart(7),
        writtenRatio.toFixed(2).padStart(8),
        `${(100 * conflicts).toFixed(1)} %`.padStart(10),
        (tensorFlop / 1e9).toFixed(3).padStart(9),
        String(resources?.registers ?? '?').padStart(10),
        (resources ? `${Math.round(100 * resources.occupancy)} %` : '?').padStart(10),
        `  ${kernel}`,
      ].join(''),
    )
  const sum = (of: (kernel: CountedKernel) => number) => counted.reduce((total, kernel) => total + of(kernel), 0)
  const [memory, l2, flops] = [sum((k) => k.memoryBytes), sum((k) => k.l2Bytes), sum((k) => k.tensorFlop)]
  return [
    'launches  mem MiB   L2 MiB   read written conflicts  GFLOP t registers occupancy  kernel',
    ...lines,
    `In all ${(memory / 2 ** 20).toFixed(1)} MiB of memory, each launch's sectors once: ${(memory / contract.bytes).toFixed(2)} times the tensors of the operations; ` +
      `${(l2 / 2 ** 20).toFixed(1)} MiB through L2; ` +
      `${(flops / 1e9).toFixed(2)} GFLOP on tensor cores, ${(flops / contract.flops).toFixed(2)} times what the operations are. ` +
      'read, written: sectors as a multiple of the ideal; occupancy as registers and shared memory allow.',
  ].join('\n')
}
