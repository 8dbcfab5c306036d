/**
 * From scans on disk to the cubes that a step learns from: what inspecting and preparing a scan takes, beside a plain
 * script of nibabel and SciPy, and what part of a training step is spent waiting for its cubes.
 *
 *   node dist/bench/data-path.js [--json] [--scans FOLDER] [--generated 4] [--device auto] [--precision fp32|bf16]
 *                                [--threads N] [--batch 4] [--steps 8] [--base-width 32] [--patch 64x64x32] [--no-python]
 *
 * Without --scans, it makes as many CT scans of 512x512x300 as --generated says. Files lie in the system's folder for
 * temporary files (TMPDIR), and go when it ends. To see scans that the page cache cannot hold, bound the memory from
 * outside, for example with `systemd-run --scope -p MemoryMax=3G node dist/bench/data-path.js --generated 40`: what was
 * read from the disk while steps ran is told.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../src/engine/addon.js'
import { type Device, openEngine, type Precision } from '../src/engine/index.js'
import { extentsText, voxelCount } from '../src/extents.js'
import { memoryLimit } from '../src/memory.js'
import { randomCrops } from '../src/training/crops.js'
import { CubeMaker } from '../src/training/cubes.js'
import { cubeFeed } from '../src/training/pretraining.js'
import { makeRecipe } from '../src/training/recipes.js'
import { Sampler } from '../src/training/sampler.js'
import { inspectCohort, type PreparedScan, prepareCohort } from '../src/volumes/index.js'
import { largeExtents, writeLargeScans } from './large-scan.js'
import { peakMemory, resetPeak } from './memory.js'
import { markdownTables } from './tables.js'
import { extentsFrom, median, noisyStep } from './training-step.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    scans: { type: 'string' },
    generated: { type: 'string', default: '4' },
    extents: { type: 'string', default: extentsText(largeExtents).replaceAll(' ', '') },
    device: { type: 'string', default: 'auto' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '4' },
    steps: { type: 'string', default: '8' },
    'base-width': { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
    'no-python': { type: 'boolean', default: false },
  },
})
const threads = Number(options.threads)
const python = '/usr/bin/python3'

const scratch = mkdtempSync(join(tmpdir(), 'semgen-data-path-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const folder = options.scans === undefined ? await generated() : resolve(options.scans)
const inspection = await phase(() => inspectCohort([folder], { split: [1, 0, 0] }))
const cache = join(scratch, 'cache')
const preparation = await phase(() => prepareCohort(inspection.result, { folder: cache }))
const { scans } = preparation.result
const script = options['no-python'] ? undefined : measurePython()
// The simulator's time is the host's, and says nothing.
const step = options.device === 'sim' ? undefined : await measureWaiting(scans)

const figures = {
  scans: scans.length,
  largestExtents: extentsText(
    scans.map(({ shape }) => shape).reduce((a, b) => (voxelCount(b) > voxelCount(a) ? b : a)),
  ),
  preparedBytes: bytesIn(cache),
  memoryLimitBytes: memoryLimit(),
  threads,
  inspecting: { ...inspection.figures, perScanSeconds: inspection.figures.seconds / scans.length },
  preparing: { ...preparation.figures, perScanSeconds: preparation.figures.seconds / scans.length },
  ...(script && { plainScript: { ...script, perScanSeconds: script.seconds / script.scans } }),
  ...(step && { step }),
}
console.log(options.json ? JSON.stringify(figures) : markdownTables('From scans on disk to cubes in a step', figures))

async function generated(): Promise<string> {
  const made = join(scratch, 'scans')
  mkdirSync(made)
  await writeLargeScans(made, Number(options.generated), extentsFrom(options.extents))
  return made
}

/** What some work took of time, cores and memory. */
async function phase<T>(work: () => Promise<T>) {
  resetPeak()
  const [start, before] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  return { result, figures: { seconds, busyCores: (user + system) / 1e6 / seconds, peakBytes: peakMemory() } }
}

/** The plain script, with as many processes as we have threads; undefined where its parts are not installed. */
function measurePython(): { scans: number; seconds: number; peakBytes: number } | undefined {
  if (!existsSync(python)) return undefined
  try {
    execFileSync(python, ['-c', 'import nibabel, scipy'], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const out = join(scratch, 'python')
  mkdirSync(out)
  const printed = execFileSync(python, [join(projectRoot(), 'bench/prepare_scans.py'), folder, out, String(threads)], {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  })
  rmSync(out, { recursive: true })
  return JSON.parse(printed)
}

/** Training steps as pre-training runs them, on random crops: from the end of one step to the start of the next is waiting. */
async function measureWaiting(of: readonly PreparedScan[]) {
  const engine = openEngine({
    device: options.device as Device,
    precision: options.precision as Precision | undefined,
    threads,
  })
  const [batch, width, patch] = [Number(options.batch), Number(options['base-width']), extentsFrom(options.patch)]
  const { network, step } = noisyStep(engine, { batch, width, patch, decoder: 'auto' })
  const recipe = makeRecipe({
    recipe: 'models-genesis',
    semantics: false,
    stages: 'joint',
    restorationWeight: 1,
    classificationWeight: 0.01,
  })
  const maker = new CubeMaker({
    engine,
    scans: new Map(of.map((scan) => [scan.id, scan])),
    patch,
    recipe,
    seed: 0,
    threads: Math.max(1, Math.floor(threads / 2)),
  })
  const crops = randomCrops(of, { patch, seed: 0, purpose: 'train', perScan: 32 })
  const feed = cubeFeed(maker, new Sampler(crops, 0, 'bench'), { purpose: 'bench', batch, into: step, network })
  const count = Number(options.steps)
  const [wait, whole]: [number[], number[]] = [[], []]
  let read = 0
  // The first step has nothing made for it: it is not counted.
  for (let i = 0; i <= count; i++) {
    if (i === 1) read = bytesRead()
    const start = performance.now()
    await feed.supply(i)
    const supplied = performance.now()
    await step.run(0)
    if (i > 0) {
      wait.push((supplied - start) / 1000)
      whole.push((performance.now() - start) / 1000)
    }
  }
  read = bytesRead() - read
  await feed.settle()
  maker.dispose()
  step.dispose()
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b)
  return {
    device: engine.device,
    precision: engine.precision,
    width,
    patch: extentsText(patch),
    cubes: batch,
    steps: count,
    medianSeconds: median(whole),
    medianWaitSeconds: median(wait),
    longestWaitSeconds: Math.max(...wait),
    waitShare: sum(wait) / sum(whole),
    readFromDiskPerStepBytes: read / count,
  }
}

/** Bytes that this process had read from the disk, through files that it mapped, too. */
function bytesRead(): number {
  return Number(/read_bytes: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1])
}

function bytesIn(of: string): number {
  return readdirSync(of).reduce((sum, name) => sum + statSync(join(of, name)).size, 0)
}
