import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SemgenError } from '../src/errors.js'

/** What can be measured, and the programs beside this file that do it. Each has more options of its own. */
export const benchmarks = {
  step: { what: 'one training step, beside PyTorch where that is installed', programs: ['step'] },
  kernels: {
    what: 'every operation: its rate, and its share of a matrix product or a copy; in the simulator, what it counts',
    programs: ['kernels'],
  },
  data: { what: 'reading a large .nii.gz, and cubes cut and perturbed a second', programs: ['volumes', 'perturb'] },
  neighbours: { what: 'the exact search for the nearest of 100,000 scans', programs: ['neighbours'] },
} as const

export type Benchmark = keyof typeof benchmarks

/** Of the programs that compute: options as they take them ("--device", "sim", ...). */
export type EngineWords = readonly string[]

function commandOf(program: string, words: EngineWords): string[] {
  const computes = program === 'step' || program === 'kernels'
  return [fileURLToPath(new URL(`./${program}.js`, import.meta.url)), ...(computes ? words : [])]
}

/** Runs benchmarks one after the other, so that none takes time from another. Their figures go to standard output. */
export async function runBenchmarks(
  names: readonly Benchmark[],
  words: EngineWords,
  signal: AbortSignal,
): Promise<void> {
  for (const program of names.flatMap((name) => benchmarks[name].programs)) {
    const stdio = ['ignore', 'inherit', 'inherit'] as const
    const child = spawn(process.execPath, commandOf(program, words), { stdio: [...stdio], signal })
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    if (code !== 0)
      throw new SemgenError('NATIVE', `The benchmark ${program} failed: it ended with ${code ?? 'a signal'}.`)
  }
}

/** As `runBenchmarks`; the figures of each program, by name, as it prints them for programs. */
export async function measureBenchmarks(
  names: readonly Benchmark[],
  words: EngineWords,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const figures: Record<string, unknown> = {}
  for (const program of names.flatMap((name) => benchmarks[name].programs)) {
    const command = [...commandOf(program, words), '--json']
    const { stdout } = await promisify(execFile)(process.execPath, command, { signal, maxBuffer: 2 ** 26 })
    figures[program] = JSON.parse(stdout)
  }
  return figures
}
