import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { SemgenError } from '../src/errors.js'
import type { MeasuredRun } from './report.js'

/** What a benchmark is made of. */
interface Parts {
  readonly what: string
  /** The programs beside this file that measure it. Each has more options of its own. */
  readonly programs: readonly string[]
  /** Takes too long to be measured unless it is named. */
  readonly named?: true
}

const known = {
  step: { what: 'one training step, beside PyTorch where that is installed', programs: ['step'] },
  kernels: {
    what: 'every operation: its rate, and its share of a plain convolution or a copy; in the simulator, what it counts',
    programs: ['kernels'],
  },
  data: {
    what: 'reading and preparing large scans, cubes cut and perturbed a second, and how long a step waits for them',
    programs: ['volumes', 'perturb', 'data-path'],
  },
  overhead: { what: 'what an operation costs beside its work, and a step of a small network', programs: ['overhead'] },
  neighbours: { what: 'the exact search for the nearest of 100,000 scans', programs: ['neighbours'] },
  tune: {
    what: 'the tile shapes of a training step’s convolutions on a card; writes the fastest to the table that --tiles names',
    programs: ['tune'],
    named: true,
  },
  scale: {
    what: 'how time, memory and disk grow with scans, voxels, batch, width and classes',
    programs: ['scale'],
    named: true,
  },
} as const satisfies Record<string, Parts>

export type Benchmark = keyof typeof known

/** What can be measured. */
export const benchmarks: Readonly<Record<Benchmark, Parts>> = known

/** What is measured where nothing is named. */
export const usualBenchmarks = (Object.keys(known) as Benchmark[]).filter((name) => !benchmarks[name].named)

/** Of the programs that compute: options as they take them ("--device", "sim", ...). */
export type EngineWords = readonly string[]

const whereToCompute = ['--device', '--precision', '--threads']

/** Of an engine's options those that a program takes; others take them all. */
const taken: Readonly<Record<string, readonly string[]>> = {
  scale: whereToCompute,
  overhead: whereToCompute,
  'data-path': whereToCompute,
  perturb: ['--threads'],
  neighbours: ['--threads'],
  volumes: [],
}

/** A program and its command line. */
export interface PlannedRun {
  readonly program: string
  readonly options: readonly string[]
}

/**
 * The programs to run for some benchmarks, in order. Where the precision or batch of a training step is open, it is
 * measured with each of those that the goals name.
 */
export function plannedRuns(names: readonly Benchmark[], words: EngineWords, bf16: boolean): PlannedRun[] {
  const open = (word: string, values: readonly string[]) => (words.includes(word) ? [[]] : values.map((v) => [word, v]))
  return names
    .flatMap((name) => benchmarks[name].programs)
    .flatMap((program): PlannedRun[] => {
      const kept = taken[program]
      if (kept) return [{ program, options: words.filter((_, i) => kept.includes(words[i - (i % 2)]!)) }]
      if (program !== 'step' || words.includes('sim')) return [{ program, options: words }]
      return open('--precision', bf16 ? ['fp32', 'bf16'] : ['fp32']).flatMap((precision) =>
        open('--batch', ['1', '4']).map((batch) => ({ program, options: [...words, ...precision, ...batch] })),
      )
    })
}

/**
 * Runs programs one after the other, so that none takes time from another. One that fails is listed with the reason and
 * keeps none of the others from running.
 * @param done told of each as soon as it ends
 * @throws the signal's reason when it is aborted
 */
export async function measureRuns(
  runs: readonly PlannedRun[],
  signal: AbortSignal,
  done: (run: MeasuredRun) => void,
): Promise<MeasuredRun[]> {
  const measured: MeasuredRun[] = []
  for (const run of runs) {
    signal.throwIfAborted()
    measured.push(await measure(run, signal))
    done(measured.at(-1)!)
  }
  return measured
}

/** The most that a program may print: figures, not data. */
const mostOutput = 2 ** 26

async function measure({ program, options }: PlannedRun, signal: AbortSignal): Promise<MeasuredRun> {
  const command = [fileURLToPath(new URL(`./${program}.js`, import.meta.url)), ...options, '--json']
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'], signal })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    if (out.length > mostOutput) child.kill()
  })
  const code = await new Promise<number | null>((resolve, reject) =>
    child.on('error', (error) => reject(signal.aborted ? signal.reason : error)).on('close', (code) => resolve(code)),
  )
  if (code !== 0) return { program, options, failed: `It failed: it ended with ${code ?? 'a signal'}.` }
  try {
    return { program, options, figures: JSON.parse(out) }
  } catch (error) {
    throw new SemgenError('NATIVE', `The benchmark ${program} printed no JSON.`, { cause: error })
  }
}
