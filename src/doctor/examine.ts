import { bytes } from '../format.js'
import { programVersion } from '../version.js'
import { type EngineState, examineEngines } from './engines.js'
import { examineGpus, type Gpus } from './gpu.js'
import { examineMachine, type Machine } from './machine.js'
import { examinePackages, type Package } from './packages.js'

export interface Examination {
  readonly version: string
  readonly node: string
  readonly machine: Machine
  readonly engines: readonly EngineState[]
  readonly gpus: Gpus
  readonly packages: readonly Package[]
  readonly findings: readonly Finding[]
}

export interface Finding {
  /** `problem`: something that every command needs is missing. `note`: worth knowing. */
  readonly level: 'problem' | 'note'
  readonly message: string
  /** What to do about it. */
  readonly remedy: string
}

/** Looks at everything that the program depends on. Slow parts (other processes) run side by side. */
export async function examine(): Promise<Examination> {
  const [machine, engines, gpus, packages] = await Promise.all([
    examineMachine(),
    examineEngines(),
    examineGpus(),
    examinePackages(),
  ])
  const seen = { version: programVersion(), node: process.versions.node, machine, engines, gpus, packages }
  return { ...seen, findings: findings(seen) }
}

/** What is missing or odd in what was seen, and how to get or change it. */
export function findings(seen: Omit<Examination, 'findings'>): Finding[] {
  const { machine, engines, gpus, packages } = seen
  const found: Finding[] = []
  const note = (message: string, remedy: string) => found.push({ level: 'note', message, remedy })
  const problem = (message: string, remedy: string) => found.push({ level: 'problem', message, remedy })

  const missing = packages.filter(({ installed }) => installed === undefined).map(({ name }) => name)
  if (missing.length > 0) problem(`Not installed: ${missing.join(', ')}.`, 'Run "npm ci" in the program’s folder.')
  const cpu = engines.find(({ engine }) => engine === 'cpu')
  if (cpu && !cpu.works)
    problem(cpu.why, 'Install g++, cmake, libdnnl-dev and libdeflate-dev, then run "npm run setup".')
  const cuda = engines.find(({ engine }) => engine === 'cuda')
  if (gpus.cards.length > 0 && cuda && !cuda.works)
    note(`There is ${gpus.cards[0]!.name}, and no CUDA engine: ${cuda.why}`, 'The CPU engine is used meanwhile.')
  if (gpus.cards.length > 0 && gpus.driver === undefined)
    note('The NVIDIA driver’s version cannot be read.', 'Check that its kernel module is loaded: nvidia-smi.')
  if (machine.architecture === 'x64' && !machine.cpu.features.includes('AVX2'))
    note('This CPU has no AVX2: computing will be slow.', 'Use a machine made after 2015, or a GPU.')
  const memory = Math.min(machine.memory.availableBytes, machine.memory.limitBytes ?? Number.POSITIVE_INFINITY)
  if (memory < 4 * 2 ** 30)
    note(`Only ${bytes(memory)} of memory are available.`, 'Choose a small --base-width, --patch and --batch.')
  if (machine.disk.freeBytes < 5 * 2 ** 30)
    note(
      `Only ${bytes(machine.disk.freeBytes)} are free where you are.`,
      'Prepared scans take 2 bytes a voxel: choose --out on a larger disk.',
    )
  return found
}
