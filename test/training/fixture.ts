import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine, type Precision } from '../../src/engine/index.js'
import { makeSchedule, type ScheduleKind } from '../../src/learning/schedule.js'
import { Network } from '../../src/nn/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import { type MetricsEvent, metricsEvent } from '../../src/report/run-files.js'
import { type CropScan, type Patterns, patternCrops } from '../../src/training/crops.js'
import { CubeMaker } from '../../src/training/cubes.js'
import type { Job } from '../../src/training/job.js'
import type { TrainingPlan } from '../../src/training/plan.js'
import { pretrainingParts } from '../../src/training/pretraining.js'
import { makeRecipe, networkOf, type RecipeOptions } from '../../src/training/recipes.js'
import { writeNifti } from '../../src/volumes/index.js'

export const patch = [8, 8, 8] as const

/** A "patient": three blobs of different width and brightness at about the same places, and noise. */
export function blobs(id: string, seed: number): CropScan {
  const shape = [20, 20, 20] as const
  const random = new Random(seed, 'test/blobs')
  const centres = [
    [5, 5, 5, 1.5, 0.9],
    [14, 5, 10, 3, 0.5],
    [9, 15, 14, 2, 0.7],
  ].map(([x, y, z, width, height]) => ({
    at: [x! + random.uniform(-1, 1), y! + random.uniform(-1, 1), z! + random.uniform(-1, 1)],
    width: width!,
    height: height!,
  }))
  const voxels = new Uint16Array(shape[0] * shape[1] * shape[2])
  for (let x = 0, i = 0; x < 20; x++)
    for (let y = 0; y < 20; y++)
      for (let z = 0; z < 20; z++, i++) {
        let value = 0.05 + random.uniform(0, 0.05)
        for (const { at, width, height } of centres) {
          const squared = (x - at[0]!) ** 2 + (y - at[1]!) ** 2 + (z - at[2]!) ** 2
          value += height * Math.exp(-squared / (2 * width * width))
        }
        voxels[i] = Math.min(65535, value * 65535)
      }
  return { id, shape, voxels }
}

const places = [
  [1, 1, 1],
  [10, 1, 6],
  [5, 11, 10],
] as const

/** Three patterns in eight patients, two of them held out. */
export const patients = Array.from({ length: 8 }, (_, i) => blobs(`p${i}`, i + 1))
export const patterns: Patterns = {
  classes: places.map((start) => ({
    crops: patients.map(({ id }, i) => ({ scan: id, start, size: patch, split: i < 6 ? 'train' : 'validation' })),
  })),
}

export interface JobOptions extends Partial<RecipeOptions> {
  batch?: number
  epochs?: number
  stepsPerEpoch?: number
  patience?: number
  learningRate?: number
  schedule?: ScheduleKind
  checkpointSeconds?: number
  seed?: number
  norm?: 'batch' | 'running'
  threads?: number
  device?: 'cpu' | 'sim'
  precision?: Precision
}

/** A whole run on a network of a thousand weights: 3 + 3 epochs of 4 steps take a second. */
export function smallJob(folder: string, options: JobOptions = {}): Job {
  const { batch = 5, epochs = 3, stepsPerEpoch = 4, patience = 50, learningRate = 1e-2, seed = 7 } = options
  const recipe = makeRecipe({
    recipe: 'semantic-genesis',
    semantics: false,
    stages: 'both',
    restorationWeight: 1,
    classificationWeight: 0.01,
    ...options,
  })
  const schedule = makeSchedule({ kind: options.schedule ?? 'cosine', learningRate, halveEvery: 2 })
  const plan: TrainingPlan = {
    batch,
    validationCubes: 6,
    patience,
    logEvery: 3,
    stages: recipe.stages.map((losses) => ({ ...losses, epochs, stepsPerEpoch, schedule, normMomentum: 0.1 })),
  }
  const { device = 'cpu', threads = 1, precision } = options
  const engine = openEngine({ device, threads, precision })
  const shape = networkOf(recipe, 3, { baseWidth: 4, depth: 2, patch, norm: options.norm ?? 'running' })
  const scans = new Map(patients.map((scan) => [scan.id, scan]))
  const network = new Network(engine, shape, seed)
  const maker = new CubeMaker({ engine, scans, patch, recipe, seed, threads: 1 })
  const [trainingCrops, validationCrops] = [patternCrops(patterns, 'train'), patternCrops(patterns, 'validation')]
  const pretraining = { network, batch, recipe, maker, trainingCrops, validationCrops, seed }
  return {
    network,
    plan,
    open: (stage) => pretrainingParts(pretraining, stage),
    files: {
      last: join(folder, 'last.safetensors'),
      best: join(folder, 'best.safetensors'),
      metrics: join(folder, 'metrics.jsonl'),
    },
    fingerprint: 'test',
    usage: { recipe: recipe.name },
    checkpointSeconds: options.checkpointSeconds ?? 300,
  }
}

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'semgen-training-'))

/** The lines of a log, checked against the schema that the report reads them by. */
export function readLog(path: string): MetricsEvent[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => metricsEvent.parse(JSON.parse(line)))
}

/** The patients as files, the last two held out, and a patterns.json of the three patterns. */
export async function writePatients(folder: string): Promise<{ scans: string; patternFile: string }> {
  const scans = join(folder, 'scans')
  mkdirSync(scans)
  for (const { id, shape, voxels } of patients) {
    const affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]
    await writeNifti(join(scans, `${id}.nii.gz`), { shape, affine, data: Float32Array.from(voxels) })
  }
  writeFileSync(
    join(scans, 'split.json'),
    JSON.stringify({ train: ['p0', 'p1', 'p2', 'p3', 'p4', 'p5'], validation: ['p6', 'p7'], test: [] }),
  )
  const patternFile = join(folder, 'patterns.json')
  writeFileSync(
    patternFile,
    JSON.stringify({
      version: 1,
      seed: 0,
      patch: [8, 8, 8],
      frame: 'voxel',
      scans: patients.map(({ id }) => ({ id, shape: [20, 20, 20] })),
      classes: patterns.classes.map(({ crops }) => ({
        reference: 'p0',
        coordinate: crops[0]!.start,
        crops: crops.map((crop) => ({ ...crop, resolution: 0 })),
      })),
      notes: [],
    }),
  )
  return { scans, patternFile }
}

/** Collects what is said. */
export function listening(): { lines: string[]; progress: Progress } {
  const lines: string[] = []
  return {
    lines,
    progress: { ...silent, say: (line) => lines.push(line), warn: (line) => lines.push(`warning: ${line}`) },
  }
}

/** Everything in a folder, but for prepared scans: what must be as it was. */
export function contentOf(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !/^cache(\/|$)/.test(name))
  const files = names.filter((name) => statSync(join(folder, name)).isFile()).sort()
  return new Map(files.map((name) => [name, readFileSync(join(folder, name)).toString('base64')]))
}
