import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { resolveOptions, trainOptions } from '../../src/config/index.js'
import { type PatternSet, writePatterns } from '../../src/discovery/index.js'
import type { MetricsEvent } from '../../src/report/index.js'
import type { Cohort } from '../../src/volumes/index.js'

/** A scan's name that would take over a page which does not escape it. */
export const hostile = '<img src=x onerror=alert(1)>"\'&\u202etxt.nii'

const start = Date.parse('2026-03-01T09:00:00Z')
const time = (minutes: number) => new Date(start + minutes * 60_000).toISOString()

/** The events of a run of two stages, killed at step 70 and resumed from its checkpoint at step 60. */
export function fakeEvents(): MetricsEvent[] {
  const events: MetricsEvent[] = [
    { event: 'start', time: time(0), step: 0 },
    { event: 'stage', time: time(0), step: 0, stage: 'classification', epochs: 4, stepsPerEpoch: 10 },
  ]
  const steps = (from: number, to: number, minutes: number) => {
    for (let step = from; step <= to; step++) {
      const joint = step > 40
      const stage = joint ? 'joint' : 'classification'
      const epoch = Math.ceil((joint ? step - 40 : step) / 10)
      const fading = Math.exp(-step / 30) * (1 + 0.15 * Math.sin(step * 12.9898))
      const classification = 0.2 + 2 * fading
      const restoration = 0.002 + 0.05 * fading
      const accuracy = 1 - 0.9 * Math.exp(-step / 40)
      const figures = {
        loss: joint ? restoration + 0.01 * classification : classification,
        ...(joint ? { restoration } : {}),
        classification,
        accuracy,
      }
      const at = { time: time(minutes + (step - from) * 0.25), step, stage, epoch }
      events.push({
        event: 'step',
        ...at,
        ...figures,
        learningRate: joint ? 5e-4 : 1e-3,
        gradientNorm: 3 * fading + 0.1,
        cubesPerSecond: 40 + 3 * Math.sin(step),
      })
      if (step % 10 === 0)
        events.push({
          event: 'validation',
          ...at,
          ...figures,
          loss: figures.loss * 1.1,
          ...(joint ? { restoration: restoration * 1.1, perturbed: 0.031 } : {}),
          accuracy: accuracy * 0.95,
          best: step !== 90,
        })
      if (step === 40)
        events.push({ event: 'stage', time: at.time, step, stage: 'joint', epochs: 6, stepsPerEpoch: 10 })
    }
  }
  steps(1, 70, 1)
  events.push({ event: 'resume', time: time(200), step: 60 })
  steps(61, 100, 201)
  events.push({ event: 'end', time: time(212), step: 100, reason: 'finished' })
  return events
}

/** Writes a small run's folder as training leaves it. */
export async function writeFakeRun(folder: string): Promise<void> {
  await mkdir(join(folder, 'montages'), { recursive: true })
  const options = resolveOptions(
    trainOptions,
    new Map([
      ['source', { value: ['scans'], origin: 'PATH' }],
      ['out', { value: 'runs/fake', origin: '--out' }],
      ['batch', { value: 4, origin: '--batch' }],
    ]),
  )
  const configuration = {
    version: 1,
    program: 'semgen-native 0.1.0',
    created: time(0),
    options,
    chosen: { classes: 8, neighbours: 5, patch: [32, 32, 16], baseWidth: 8, depth: 4 },
    network: { kind: 'y-net', baseWidth: 8, depth: 4, classes: 8, patch: [32, 32, 16], skips: true, norm: 'running' },
    environment: { node: '20.20.2', platform: 'linux x64', device: 'cpu', library: 'oneDNN 2.6.3', threads: 2 },
  }
  await writeFile(join(folder, 'config.json'), JSON.stringify(configuration))
  await writeFile(
    join(folder, 'metrics.jsonl'),
    fakeEvents()
      .map((event) => `${JSON.stringify(event)}\n`)
      .join(''),
  )
  await writeFile(join(folder, 'cohort.json'), JSON.stringify(fakeCohort()))
  await writePatterns(join(folder, 'patterns.json'), fakePatterns())
  await writeSamples(folder)
  for (const pattern of [0, 1, 2]) await writeMontage(join(folder, `montages/pattern-${pattern}.png`), pattern)
}

async function writeSamples(folder: string): Promise<void> {
  const shape = [32, 32, 16] as const
  const size = shape[0] * shape[1] * shape[2]
  const scans = ['patient-07.nii.gz', hostile, 'patient-12.nii.gz']
  const bytes = new Uint8Array(scans.length * 3 * size)
  const samples = scans.map((scan, i) => {
    // A bright ball off the centre; noise over half of it; the ball again, a little darker.
    let at = 3 * i * size
    for (const kind of ['original', 'perturbed', 'restored'])
      for (let x = 0; x < shape[0]; x++)
        for (let y = 0; y < shape[1]; y++)
          for (let z = 0; z < shape[2]; z++) {
            const radius = Math.hypot(x - 20, y - 12 - i, 2 * (z - 8))
            const ball = radius < 9 ? 220 : 60
            bytes[at++] =
              kind === 'perturbed' && x < 14
                ? (x * 91 + y * 57 + z * 33) % 256
                : ball * (kind === 'restored' ? 0.95 : 1)
          }
    return {
      scan,
      pattern: i,
      named: i === 2 ? 5 : i,
      spacing: [1, 1, 2],
      perturbation: 'elastic, in-painting',
      perturbedError: 0.031,
      restoredError: 0.0041,
    }
  })
  await writeFile(join(folder, 'samples.bin'), bytes)
  await writeFile(join(folder, 'samples.json'), JSON.stringify({ version: 1, step: 100, shape, samples }))
}

async function writeMontage(path: string, shade: number): Promise<void> {
  const create = { width: 320, height: 100, channels: 3, background: { r: 60 * shade, g: 90, b: 120 } } as const
  await sharp({ create }).png().toFile(path)
}

function fakeCohort(): Cohort {
  const scan = (id: string, split: 'train' | 'validation', problems: string[]): Cohort['scans'][number] => ({
    id,
    path: `/scans/${id}`,
    patient: id,
    split,
    shape: [256, 256, 120],
    channels: 1,
    spacing: [0.9765625, 0.9765625, 2.5],
    orientation: 'LPS',
    modality: 'ct',
    range: [-1024, 3071],
    robustRange: [-1000, 800],
    hash: '0',
    bytes: 1,
    modified: 1,
    problems,
  })
  return {
    version: 1,
    scans: [
      scan('patient-01', 'train', []),
      scan(hostile, 'train', ['12 voxels are not numbers']),
      scan('patient-07', 'validation', []),
    ],
    refused: [{ path: '/scans/broken.nii', reason: '/scans/broken.nii is cut off.' }],
    notes: ['Voxel sizes differ.'],
  }
}

function fakePatterns(): PatternSet {
  const scans = ['patient-01', hostile, 'patient-07']
  const crops = scans.map((scan, i) => ({
    scan,
    start: [100, 90, 40] as [number, number, number],
    size: [64, 64, 32] as [number, number, number],
    split: i === 2 ? ('validation' as const) : ('train' as const),
    resolution: 0,
  }))
  return {
    version: 1,
    seed: 0,
    patch: [32, 32, 16],
    frame: 'body',
    millimetres: [62.5, 62.5, 80],
    scans: scans.map((id) => ({ id, shape: [256, 256, 120] })),
    classes: Array.from({ length: 8 }, (_, i) => ({
      reference: scans[i % 2]!,
      coordinate: [0.5, 0.4, 0.1 * i],
      crops,
    })),
    embedding: {
      network: {},
      latent: 64,
      epochs: 20,
      bestEpoch: 18,
      loss: 0.0042,
      nearest: [{ scan: 'patient-01', neighbours: [{ scan: hostile, distance: 0.25 }] }],
    },
    notes: ['8 patterns were looked for, as the cohort is small.'],
  }
}
