import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { SemgenError } from '../src/errors.js'

/** What can be measured. Each is a program of its own beside this file, with more options. */
export const benchmarks = {
  step: 'one training step, beside PyTorch where that is installed',
  kernels: 'every operation: its rate, and its share of a matrix product or a copy',
  volumes: 'reading a large .nii.gz',
  perturb: 'cubes cut and perturbed a second',
} as const

export type Benchmark = keyof typeof benchmarks

const programOf = (name: Benchmark): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url))

/** Runs benchmarks one after the other, so that none takes time from another. Their figures go to standard output. */
export async function runBenchmarks(names: readonly Benchmark[], signal: AbortSignal): Promise<void> {
  for (const name of names) {
    const child = spawn(process.execPath, [programOf(name)], { stdio: ['ignore', 'inherit', 'inherit'], signal })
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    if (code !== 0)
      throw new SemgenError('NATIVE', `The benchmark ${name} failed: it ended with ${code ?? 'a signal'}.`)
  }
}

/** As `runBenchmarks`; the figures of each, by name, as its program prints them for programs. */
export async function measureBenchmarks(
  names: readonly Benchmark[],
  signal: AbortSignal,
): Promise<Partial<Record<Benchmark, unknown>>> {
  const figures: Partial<Record<Benchmark, unknown>> = {}
  for (const name of names) {
    const { stdout } = await promisify(execFile)(process.execPath, [programOf(name), '--json'], { signal })
    figures[name] = JSON.parse(stdout)
  }
  return figures
}
