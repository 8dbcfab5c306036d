import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { DiscoverOptions, TrainOptions } from '../../src/config/index.js'
import { discoverCohort } from '../../src/discovery/index.js'
import { addon } from '../../src/engine/addon.js'
import { silent } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import { runFiles } from '../../src/training/run-folder.js'
import { scansOf } from '../../src/training/scans.js'
import { preparedVolumes } from '../../src/transfer/prepared-volumes.js'
import { inspectCohort, prepareCohort, writeVolume } from '../../src/volumes/index.js'
import type * as read from '../../src/volumes/read.js'

/** Scans that are read at this moment, and the most there were. */
const reading = vi.hoisted(() => ({ now: 0, most: 0 }))

vi.mock('../../src/volumes/read.js', async (original) => {
  const real = await original<typeof read>()
  const readVolume: typeof real.readVolume = async (path) => {
    reading.most = Math.max(reading.most, ++reading.now)
    // Long enough for all others to begin that may.
    await new Promise((resolve) => setTimeout(resolve, 20))
    try {
      return await real.readVolume(path)
    } finally {
      reading.now--
    }
  }
  return { ...real, readVolume }
})

const root = mkdtempSync(join(tmpdir(), 'semgen-threads-'))
afterAll(() => rmSync(root, { recursive: true }))
const folder = join(root, 'scans')
let made = 0
const another = () => join(root, `out${made++}`)

beforeAll(async () => {
  mkdirSync(folder)
  const random = new Random(1, 'test')
  for (let i = 0; i < 9; i++)
    await writeVolume(join(folder, `s${i}.nii`), {
      shape: [12, 10, 9],
      affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
      data: Int16Array.from({ length: 1080 }, () => random.integer(-1000, 500)),
    })
})
beforeEach(() => {
  reading.most = 0
})

const cases = [
  [1, 2],
  [2, 3],
  [3, 4],
  [64, 4],
] as const

test.each(cases)(
  'with %d threads %d scans are read at a time: of inspection and of preparation',
  async (threads, most) => {
    const cohort = await inspectCohort([folder], { threads })
    expect(reading.most).toBe(most)
    reading.most = 0
    await prepareCohort(cohort, { folder: another(), threads })
    expect(reading.most).toBe(most)
  },
)

test.each(cases)(
  'with %d threads %d scans at a time, in a run, a discovery and a fine-tuning',
  async (threads, most) => {
    const options = { source: [folder], modality: 'auto', split: [0.8, 0.2, 0], seed: 0, threads } as const
    const run = another()
    mkdirSync(run)
    await scansOf(options as unknown as TrainOptions, runFiles(run), false, silent)
    expect(reading.most).toBe(most)
    reading.most = 0
    // Stopped when the scans are prepared.
    const enough = new AbortController()
    const stopping = { ...silent, say: () => enough.abort(new Error('enough')) }
    const discovery = { ...options, out: another(), device: 'cpu', frame: 'body', patch: [4, 4, 4] } as const
    await expect(discoverCohort(discovery as unknown as DiscoverOptions, stopping, enough.signal)).rejects.toThrow()
    expect(reading.most).toBe(most)
    reading.most = 0
    const images = Array.from({ length: 9 }, (_, i) => ({ id: `s${i}`, paths: [join(folder, `s${i}.nii`)] }))
    await preparedVolumes(images, { folder: another(), threads, progress: silent })
    expect(reading.most).toBe(most)
  },
)

test('scans that are resampled at the same time share the threads, and come out the same', async () => {
  const cohort = await inspectCohort([folder])
  const resize = vi.spyOn(addon(), 'resizeScan')
  const results = []
  for (const [threads, each] of [
    [1, 1],
    [8, 2],
    [64, 16],
  ] as const) {
    resize.mockClear()
    const { scans } = await prepareCohort(cohort, { folder: another(), spacing: [2, 2, 2], threads })
    expect(new Set(resize.mock.calls.map((call) => call[2]))).toEqual(new Set([each]))
    results.push(scans.map(({ voxels }) => [...voxels]))
  }
  expect(results[1]).toEqual(results[0])
  expect(results[2]).toEqual(results[0])
  resize.mockRestore()
})
