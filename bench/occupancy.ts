import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../src/engine/addon.js'
import { SemgenError } from '../src/errors.js'

/**
 * What a multiprocessor has: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; and how many
 * of them a card of the architecture has: A100, H100 SXM, RTX 5090.
 */
const multiprocessors = {
  sm_80: { count: 108, warps: 64, blocks: 32, registers: 65_536, shared: 164 * 1024 },
  sm_90: { count: 132, warps: 64, blocks: 32, registers: 65_536, shared: 228 * 1024 },
  sm_120: { count: 170, warps: 48, blocks: 24, registers: 65_536, shared: 100 * 1024 },
}
export type Architecture = keyof typeof multiprocessors

/** Throws SemgenError BAD_OPTION for what the table above does not have. */
export function architectureNamed(name: string): Architecture {
  if (name in multiprocessors) return name as Architecture
  const known = Object.keys(multiprocessors).join(', ')
  throw new SemgenError('BAD_OPTION', `--arch takes ${known}, not "${name}".`)
}

/**
 * Has the simulator stand for a card of this architecture: its multiprocessors and shared memory decide how operations are
 * split, and so what a step moves. Before the first engine of the process.
 */
export function simulate(architecture: Architecture): void {
  const { count, shared } = multiprocessors[architecture]
  process.env.SEMGEN_SIM_MULTIPROCESSORS = String(count)
  process.env.SEMGEN_SIM_SHARED = String(shared / 1024 - 1) // one kilobyte is the system's
}

/** What nvcc says of a kernel on one architecture. */
export interface KernelResources {
  readonly registers: number
  /** Static, bytes a block. */
  readonly shared: number
  /** Bytes a thread. */
  readonly stack: number
  readonly spilled: number
}

export interface ResourceTable {
  readonly nvcc: string
  readonly kernels: Readonly<Record<string, Readonly<Partial<Record<Architecture, KernelResources>>>>>
}

/** cuda/resources.json, which scripts/kernel-resources.mjs writes. */
export function resourceTable(): ResourceTable {
  return JSON.parse(readFileSync(join(projectRoot(), 'cuda/resources.json'), 'utf8'))
}

/**
 * Blocks that a multiprocessor holds at a time, and the share of its warps that they are: as registers (given out to
 * warps in units of 256), shared memory (in units of 128 bytes, one kilobyte more a block) and threads allow.
 */
export function occupancy(
  { registers, shared }: KernelResources,
  launch: { readonly threads: number; readonly dynamicShared: number },
  architecture: Architecture,
): { readonly blocks: number; readonly share: number } {
  const has = multiprocessors[architecture]
  const warps = Math.ceil(launch.threads / 32)
  const registersOfWarp = Math.ceil((registers * 32) / 256) * 256
  const sharedOfBlock = Math.ceil((shared + launch.dynamicShared + 1024) / 128) * 128
  const blocks = Math.min(
    has.blocks,
    Math.floor(has.warps / warps),
    Math.floor(Math.floor(has.registers / registersOfWarp) / warps),
    Math.floor(has.shared / sharedOfBlock),
  )
  return { blocks, share: (blocks * warps) / has.warps }
}
