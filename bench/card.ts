/**
 * What is worth knowing on a machine with a card, in one run of at most eight minutes: whether operations and training are
 * right there, what compute-sanitizer says, and how fast it is, beside PyTorch where that is installed.
 *
 *   node dist/bench/card.js [--out card.json] [--minutes 8] [--device cuda] [--batch 64] [--base-width 32] [--patch 64x64x32]
 *
 * Parts run one after the other, each for a time of its own at most; one that fails does not keep others from running. A
 * table is printed last. `--device sim` with a small network is a smoke test on any machine.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { table } from '../src/cli/table.js'
import { projectRoot } from '../src/engine/addon.js'
import { reason } from '../src/errors.js'

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: 'card.json' },
    minutes: { type: 'string', default: '8' },
    device: { type: 'string', default: 'cuda' },
    batch: { type: 'string', default: '64' },
    'base-width': { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
  },
})

const root = projectRoot()
const scratch = mkdtempSync(join(tmpdir(), 'semgen-card-'))
const deadline = performance.now() + 60_000 * Number(options.minutes)
const sized = [
  '--device',
  options.device,
  '--batch',
  options.batch,
  '--base-width',
  options['base-width'],
  '--patch',
  options.patch,
]

interface Ended {
  readonly code: number | null
  /** What it printed, and both streams as they came. */
  readonly printed: string
  readonly out: string
  readonly timedOut: boolean
}

/** What a part found: a line for the table, and figures for programs. */
interface Found {
  /** Undefined where it could not be tried. */
  readonly good: boolean | undefined
  readonly line: string
  readonly figures?: unknown
}

interface Part {
  readonly name: string
  /** Seconds it may take. */
  readonly limit: number
  run(seconds: number): Promise<Found>
}

/** Runs a command and keeps the end of what it prints; kills it and its children after so many seconds. */
function ended(
  command: string,
  words: readonly string[],
  seconds: number,
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd: root, env: { ...process.env, ...env }, detached: true })
    let printed = ''
    let out = ''
    let timedOut = false
    const most = 1_000_000
    const clock = setTimeout(() => {
      timedOut = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, 1000 * seconds)
    const end = (code: number | null) => {
      clearTimeout(clock)
      resolve({ code, printed, out, timedOut })
    }
    child.stdout.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-most)
    })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        out = (out + chunk.toString()).slice(-most)
      })
    child.on('error', (error) => {
      out += error.message
      end(null)
    })
    child.on('close', end)
  })
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''
const failed = ({ out, timedOut, code }: Ended, seconds: number): Found => ({
  good: false,
  line: timedOut ? `stopped after ${Math.round(seconds)} s` : `failed with ${code}: ${lastLine(out)}`,
  figures: { output: out.slice(-4000) },
})

const vitest = join(root, 'node_modules/vitest/vitest.mjs')

/** Tests of a folder or file on some engines only. */
async function tests(where: string, engines: string, seconds: number): Promise<Found> {
  const report = join(scratch, 'tests.json')
  rmSync(report, { force: true })
  const words = [vitest, 'run', where, '--reporter=json', `--outputFile=${report}`]
  const done = await ended(process.execPath, words, seconds, { SEMGEN_TEST_ENGINES: engines })
  if (!existsSync(report)) return failed(done, seconds)
  const { numPassedTests: passed, numFailedTests: wrong, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  interface Test {
    readonly fullName: string
    readonly status: string
    readonly failureMessages: readonly string[]
  }
  const failures = (testResults as { readonly assertionResults: readonly Test[] }[])
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ test: fullName, message: failureMessages.join('\n').slice(0, 1000) }))
  return {
    good: done.code === 0,
    line: `${passed} passed, ${wrong} failed${failures[0] ? `: ${failures[0].test}` : ''}`,
    figures: { passed, failed: wrong, failures },
  }
}

/** A program beside this one that prints JSON. */
async function measured(
  program: string,
  words: string[],
  seconds: number,
  line: (figures: never) => string,
): Promise<Found> {
  const done = await ended(process.execPath, [join(root, 'dist/bench', program), '--json', ...words], seconds)
  if (done.code !== 0) return failed(done, seconds)
  const figures = JSON.parse(done.printed.slice(done.printed.indexOf('{')))
  // Its times would be those of single launches, not of the graph.
  const lost = done.out.split('\n').find((printed) => printed.includes('could not be captured'))
  return { good: lost === undefined, line: lost ?? line(figures as never), figures }
}

/**
 * A tool of compute-sanitizer over the operation tests, file by file until the time is over. A file counts when it came to
 * its end and the tool summed up: one that is killed, or that the tool never watched, proves nothing.
 */
async function sanitized(tool: string, seconds: number): Promise<Found> {
  const sanitizer = inPath('compute-sanitizer', ['/usr/local/cuda/bin'])
  if (!sanitizer) return { good: undefined, line: 'compute-sanitizer is not installed' }
  const until = performance.now() + 1000 * seconds
  const files = readdirSync(join(root, 'test/ops')).filter((name) => name.endsWith('.test.ts'))
  const whole: string[] = []
  let errors = 0
  for (const file of files) {
    const left = (until - performance.now()) / 1000
    if (left < 1) break
    // A test runs out of memory on purpose.
    const watched = tool === 'memcheck' ? ['--report-api-errors', 'no'] : []
    const words = ['--tool', tool, ...watched, '--target-processes', 'all', process.execPath, vitest, 'run']
    const { out, timedOut } = await ended(sanitizer, [...words, `test/ops/${file}`], left, {
      SEMGEN_TEST_ENGINES: options.device,
    })
    const summed = [...out.matchAll(/ERROR SUMMARY: (\d+) error/g)]
    for (const [, count] of summed) errors += Number(count)
    if (summed.length === 0) errors += [...out.matchAll(/^=+ (Invalid|Error:|Warning: Race)/gm)].length
    if (!timedOut && summed.length > 0) whole.push(file)
  }
  return {
    good: errors === 0 && whole.length > 0,
    line: `${errors} errors; ${whole.length} of ${files.length} files of operation tests to their end`,
    figures: { errors, files: whole },
  }
}

/** PyTorch and this engine from the same weights. Its own libraries must not be taken for those of this program. */
async function besidePyTorch(seconds: number): Promise<Found> {
  if (options.device !== 'cuda') return { good: undefined, line: 'needs a card' }
  const python = inPath('python3')
  const env = { LD_LIBRARY_PATH: process.env.SEMGEN_OUTER_LIBRARY_PATH, SEMGEN_NODE: process.execPath }
  if (!python || (await ended(python, ['-c', 'import torch'], seconds, env)).code !== 0)
    return { good: undefined, line: 'PyTorch is not installed' }
  const out = join(scratch, 'pytorch.json')
  const words = [join(root, 'bench/compare_pytorch.py'), ...sized, '--layers', '--out', out]
  const done = await ended(python, words, seconds, env)
  if (!existsSync(out)) return failed(done, seconds)
  return {
    good: true,
    line: lastLine(done.out),
    figures: { ...JSON.parse(readFileSync(out, 'utf8')), printed: done.out },
  }
}

/** Some steps of the main job, from scans to a report. */
async function trained(seconds: number): Promise<Found> {
  const semgen = join(root, 'bin/semgen-native.js')
  const scans = join(scratch, 'scans')
  const made = await ended(
    process.execPath,
    [semgen, 'phantom', '--out', scans, '--count', '6', '--size', '64x56x48'],
    seconds,
  )
  if (made.code !== 0) return failed(made, seconds)
  const words = ['train', join(scans, 'images'), '--out', join(scratch, 'run'), '--device', options.device]
  const small = [
    '--base-width',
    '4',
    '--patch',
    '16x16x16',
    '--depth',
    '2',
    '--classes',
    '4',
    '--batch',
    '2',
    '--epochs',
    '2',
    '--cubes',
    '4',
  ]
  const embedding = ['--embedding-width', '4', '--embedding-input', '16x16x16', '--embedding-epochs', '1']
  const done = await ended(process.execPath, [semgen, ...words, ...small, ...embedding], seconds)
  if (done.code !== 0) return failed(done, seconds)
  return { good: existsSync(join(scratch, 'run/report.html')), line: lastLine(done.out.replace(/\n[^\n]*\n$/, '')) }
}

function inPath(program: string, more: readonly string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...more]
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}

interface StepFigures {
  /** No median of a simulation. */
  readonly ours: { readonly median?: number; readonly instructions: string; readonly arenaBytes: number }
}

const describeStep = ({ ours }: StepFigures): string =>
  `${ours.median === undefined ? 'no time' : `${(1e3 * ours.median).toFixed(1)} ms`}, arena ${Math.round(ours.arenaBytes / 2 ** 20)} MiB, on ${ours.instructions}`

interface TuneFigures {
  readonly shapes: number
  readonly changed: number
  readonly gainShare: number
}

/** The tile shapes that are fastest here, and a step that takes them: held against the training step's time before. */
async function tuned(seconds: number): Promise<Found> {
  const until = performance.now() + 1000 * seconds
  const tiles = join(scratch, 'tiles.json')
  const words = ['--precision', 'bf16', ...sized, '--tiles', tiles]
  const describe = ({ shapes, changed, gainShare }: TuneFigures) =>
    `${changed} of ${shapes} shapes change, ${(100 * gainShare).toFixed(1)} % less for their launches`
  const table = await measured('tune.js', words, seconds, describe)
  if (!table.good) return table
  const step = await measured('step.js', ['--no-torch', ...words], (until - performance.now()) / 1000, describeStep)
  const figures = { tune: table.figures, table: JSON.parse(readFileSync(tiles, 'utf8')), step: step.figures }
  return { good: step.good, line: `${table.line}; a step: ${step.line}`, figures }
}

const parts: readonly Part[] = [
  { name: 'operations', limit: 120, run: (seconds) => tests('test/ops', options.device, seconds) },
  {
    name: 'training step',
    limit: 60,
    run: (seconds) => measured('step.js', ['--no-torch', '--precision', 'bf16', ...sized], seconds, describeStep),
  },
  { name: 'beside PyTorch', limit: 180, run: besidePyTorch },
  {
    name: 'kernels',
    limit: 60,
    run: (seconds) => measured('kernels.js', ['--precision', 'bf16', ...sized], seconds, () => 'see the figures'),
  },
  { name: 'tile shapes', limit: 60, run: tuned },
  { name: 'four ways', limit: 90, run: (seconds) => tests('test/nn/four-ways', `cpu,${options.device}`, seconds) },
  { name: 'the main job', limit: 60, run: trained },
  { name: 'memcheck', limit: 90, run: (seconds) => sanitized('memcheck', seconds) },
  { name: 'racecheck', limit: 90, run: (seconds) => sanitized('racecheck', seconds) },
]

const results: Record<string, Found & { readonly seconds: number }> = {}
for (const { name, limit, run } of parts) {
  const began = performance.now()
  const seconds = Math.min(limit, (deadline - began) / 1000)
  console.log(`[card] ${name}`)
  const found: Found =
    seconds < 5
      ? { good: false, line: 'not run: the time was over' }
      : await run(seconds).catch((error) => ({ good: false, line: reason(error) }))
  results[name] = { ...found, seconds: (performance.now() - began) / 1000 }
  // Written after every part: what was measured stays, whatever happens to the next.
  writeFileSync(options.out, `${JSON.stringify({ ...options, results }, null, 1)}\n`)
}
rmSync(scratch, { recursive: true })
const rows = Object.entries(results).map(([name, { good, line, seconds }]) => [
  name,
  good ? 'good' : good === undefined ? 'skipped' : 'NOT GOOD',
  `${seconds.toFixed(0)} s`,
  line,
])
console.log(table([{ head: 'part' }, { head: '' }, { head: 'took', align: 'right' }, { head: 'what' }], rows))
if (Object.values(results).some(({ good }) => good === false)) process.exitCode = 1
