import { readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, cpus, freemem, release, totalmem, type } from 'node:os'
import { containerLimit } from '../memory.js'

export interface Machine {
  readonly system: string
  readonly kernel: string
  readonly architecture: string
  /** Version of the GNU C library; undefined elsewhere. */
  readonly glibc: string | undefined
  readonly cpu: Processor
  readonly memory: {
    readonly totalBytes: number
    readonly availableBytes: number
    /** What the container or control group allows, where it allows less than the machine has. */
    readonly limitBytes: number | undefined
  }
  /** Of the file system that the current folder is on. */
  readonly disk: { readonly folder: string; readonly totalBytes: number; readonly freeBytes: number }
}

export interface Processor {
  readonly model: string
  /** Logical cores of the machine. */
  readonly cores: number
  /** Logical cores that this process may use. */
  readonly usableCores: number
  /** Those of its instruction sets that an engine may use, fewest first. */
  readonly features: readonly string[]
}

/** Instruction sets that matter to the engines, by the names of the kernel's flags (x86, then ARM). */
const namedFlags: Readonly<Record<string, string>> = {
  avx2: 'AVX2',
  fma: 'FMA',
  f16c: 'F16C',
  avx512f: 'AVX-512',
  avx512_vnni: 'AVX512_VNNI',
  avx512_bf16: 'AVX512_BF16',
  avx512_fp16: 'AVX512_FP16',
  amx_tile: 'AMX',
  amx_bf16: 'AMX_BF16',
  amx_int8: 'AMX_INT8',
  asimd: 'NEON',
  sve: 'SVE',
  bf16: 'BF16',
}

export async function examineMachine(): Promise<Machine> {
  const [system, cpuinfo, meminfo, disk] = await Promise.all([
    textOf('/etc/os-release'),
    textOf('/proc/cpuinfo'),
    textOf('/proc/meminfo'),
    statfs('.'),
  ])
  const header = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1]
  return {
    system: /^PRETTY_NAME="?([^"\n]*)"?/m.exec(system)?.[1] ?? type(),
    kernel: `${type()} ${release()}`,
    architecture: arch(),
    glibc: header.glibcVersionRuntime,
    cpu: {
      model: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      usableCores: availableParallelism(),
      features: cpuFeatures(cpuinfo),
    },
    memory: {
      totalBytes: totalmem(),
      availableBytes: available ? Number(available) * 1024 : freemem(),
      limitBytes: containerLimit(),
    },
    disk: { folder: process.cwd(), totalBytes: disk.blocks * disk.bsize, freeBytes: disk.bavail * disk.bsize },
  }
}

/** The instruction sets in the text of /proc/cpuinfo, in the order of `namedFlags`. */
export function cpuFeatures(cpuinfo: string): string[] {
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' '))
  return Object.entries(namedFlags).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []))
}

/** A file of the system, or nothing where there is none. */
async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
