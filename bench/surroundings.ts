import { execFile } from 'node:child_process'
import { realpath } from 'node:fs/promises'
import { promisify } from 'node:util'
import { examineEngines } from '../src/doctor/engines.js'
import { examineGpus } from '../src/doctor/gpu.js'
import { examineMachine } from '../src/doctor/machine.js'
import { type EngineName, projectRoot } from '../src/engine/addon.js'
import type { Device } from '../src/engine/index.js'
import { programVersion } from '../src/version.js'

/** What a figure depends on besides the program measured. */
export interface Surroundings {
  readonly machine: {
    readonly cpu: string
    /** Logical cores that this process may use. */
    readonly cores: number
    readonly memoryBytes: number
    /** Instruction sets, fewest first. */
    readonly instructions: readonly string[]
    readonly system: string
    /** Empty where there is none. */
    readonly gpus: readonly string[]
    readonly driver: string
  }
  readonly versions: {
    readonly program: string
    readonly node: string
    /** Each engine that works here: its library and instructions. */
    readonly engines: Readonly<Record<string, string>>
    /** Where it was measured beside. */
    readonly pytorch: string
  }
  /** Of the checkout that runs, with "changed" where files differ from it; "unknown" of an installed package. */
  readonly commit: string
}

/** @returns also the engine that `device` means, where it works, and whether it has bfloat16 */
export async function examineSurroundings(
  device: Device,
): Promise<{ readonly surroundings: Surroundings; readonly engine: EngineName | undefined; readonly bf16: boolean }> {
  const [{ cpu, memory, system }, gpus, engines, commit] = await Promise.all([
    examineMachine(),
    examineGpus(),
    examineEngines(),
    gitCommit(projectRoot()),
  ])
  const works = engines.flatMap((state) => (state.works ? [state] : []))
  const wanted = device === 'auto' ? ['cuda', 'cpu'] : [device]
  const meant = wanted.flatMap((name) => works.filter(({ engine }) => engine === name))[0]
  const surroundings: Surroundings = {
    machine: {
      cpu: cpu.model,
      cores: cpu.usableCores,
      memoryBytes: memory.limitBytes ?? memory.totalBytes,
      instructions: cpu.features,
      system,
      gpus: gpus.cards.map(({ name }) => name),
      driver: gpus.driver ?? 'none',
    },
    versions: {
      program: programVersion(),
      node: process.versions.node,
      engines: Object.fromEntries(
        works.map(({ engine, library, instructions }) => [engine, `${library}, ${instructions}`]),
      ),
      pytorch: 'not measured',
    },
    commit,
  }
  return { surroundings, engine: meant?.engine, bf16: meant?.bf16 ?? false }
}

/** The commit of a checkout whose top is `root`; "unknown" where git does not know it. */
export async function gitCommit(root: string): Promise<string> {
  const git = async (...words: string[]) => (await promisify(execFile)('git', ['-C', root, ...words])).stdout.trim()
  try {
    // A package installed inside of someone's checkout is none of theirs.
    if ((await realpath(await git('rev-parse', '--show-toplevel'))) !== (await realpath(root))) return 'unknown'
    const commit = await git('rev-parse', 'HEAD')
    return (await git('status', '--porcelain', '--untracked-files=no')) ? `${commit}, changed` : commit
  } catch {
    return 'unknown'
  }
}
