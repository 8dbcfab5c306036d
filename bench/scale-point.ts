/**
 * One point of bench/scale.ts, in a process of its own: its peak of memory is then that of this point alone.
 *
 *   node dist/bench/scale-point.js '{"kind":"step","batch":2,...}'
 *
 * Prints JSON: seconds, peakBytes and what else grows.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { discover } from '../src/discovery/index.js'
import { type Device, openEngine, type Precision } from '../src/engine/index.js'
import type { Extents } from '../src/extents.js'
import { silent } from '../src/progress.js'
import { writeCheckpoint, writeWeights } from '../src/training/checkpoint.js'
import { stageStart } from '../src/training/state.js'
import { type Cohort, inspectCohort, prepareCohort } from '../src/volumes/index.js'
import { peakMemory } from './memory.js'
import { median, noisyStep } from './training-step.js'

/** What every point is told. */
interface Machine {
  readonly device: Device
  readonly precision?: Precision
  readonly threads?: number
  /** A folder that the caller removes. */
  readonly scratch: string
}

export type ScalePoint =
  | ({
      readonly kind: 'step'
      readonly batch: number
      readonly width: number
      readonly classes: number
      readonly patch: Extents
      readonly steps: number
    } & Machine)
  /** Scans of `folder`, the first `count` of them, prepared into a new folder or found prepared in `cache`. */
  | ({
      readonly kind: 'preparation'
      readonly folder: string
      readonly count: number
      readonly cache: string
    } & Machine)
  | ({
      readonly kind: 'discovery'
      readonly folder: string
      readonly count: number
      readonly cache: string
      readonly patch: Extents
    } & Machine)

const point = JSON.parse(process.argv[2]!) as ScalePoint
const scratch = mkdtempSync(join(point.scratch, 'point-'))
const grown = await (point.kind === 'step' ? stepPoint(point) : scansPoint(point))
rmSync(scratch, { recursive: true })
console.log(JSON.stringify({ ...grown, peakBytes: peakMemory() }))

function open({ device, precision, threads }: Machine) {
  return openEngine({ device, ...(precision && { precision }), ...(threads && { threads }) })
}

async function stepPoint(of: ScalePoint & { kind: 'step' }) {
  const { network, step } = noisyStep(open(of), { ...of, decoder: 'auto' })
  await step.run(1e-3)
  const seconds: number[] = []
  for (let i = 0; i < of.steps; i++) {
    const start = performance.now()
    await step.run(1e-3)
    seconds.push((performance.now() - start) / 1000)
  }
  const { arenaBytes, persistentBytes } = step.plan
  const [last, best] = [join(scratch, 'last.safetensors'), join(scratch, 'best.safetensors')]
  const state = stageStart(
    { kind: 'constant', learningRate: 1e-3 },
    { stage: 0, totalSteps: 0, results: [], seconds: 0 },
  )
  await writeCheckpoint(last, network, step.optimizerState, { state, logBytes: 0, fingerprint: 'scale' })
  await writeWeights(best, network, {})
  return {
    seconds: median(seconds),
    arenaBytes,
    persistentBytes,
    checkpointBytes: statSync(last).size,
    weightsBytes: statSync(best).size,
  }
}

async function scansPoint(of: Exclude<ScalePoint, { kind: 'step' }>) {
  const cohort = first(await inspectCohort([join(of.folder, 'images')], { split: [1, 0, 0] }), of.count)
  if (of.kind === 'preparation') {
    const start = performance.now()
    await prepareCohort(cohort, { folder: of.cache })
    return { seconds: (performance.now() - start) / 1000, cacheBytes: size(of.cache) }
  }
  const engine = open(of)
  const prepared = await prepareCohort(cohort, { folder: of.cache })
  const start = performance.now()
  // What is chosen by the cohort's size is fixed: each point does the same work a scan.
  await discover(
    prepared,
    engine,
    {
      seed: 0,
      frame: 'body',
      classes: 4,
      neighbours: of.count,
      validationNeighbours: of.count,
      patch: of.patch,
      embeddingWidth: 4,
      embeddingInput: [32, 32, 16],
      embeddingEpochs: 2,
      embeddingBatch: 2,
      threads: of.threads,
    },
    silent,
    undefined,
    scratch,
  )
  return { seconds: (performance.now() - start) / 1000, patternBytes: statSync(join(scratch, 'patterns.json')).size }
}

function first(cohort: Cohort, count: number): Cohort {
  return { ...cohort, scans: [...cohort.scans].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, count) }
}

/** Bytes of the files in a folder. */
function size(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}
