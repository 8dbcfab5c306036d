import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type Embedder,
  type EmbeddingJob,
  embed,
  trainEmbedding,
  type WholeScan,
} from '../../src/discovery/embedding.js'
import { embeddingFingerprint, readEmbedding } from '../../src/discovery/embedding-checkpoint.js'
import { type EmbeddingPlan, type EmbeddingSituation, planEmbedding } from '../../src/discovery/embedding-plan.js'
import { openEngine } from '../../src/engine/index.js'
import { EvaluationStep } from '../../src/nn/index.js'
import { resizeScan } from '../../src/perturb/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { bodies, newFolder } from './fixture.js'

const scans = bodies(7)
const train = scans.filter(({ split }) => split === 'train')
const validation = scans.filter(({ split }) => split === 'validation')
const engine = openEngine({ device: 'cpu', threads: 1 })

const plan: EmbeddingPlan = {
  network: {
    kind: 'auto-encoder',
    baseWidth: 2,
    depth: 4,
    inputChannels: 1,
    outputChannels: 1,
    classes: 0,
    patch: [16, 16, 16],
    skips: false,
    norm: 'running',
  },
  batch: 2,
  stepsPerEpoch: 3,
  epochs: 4,
  patience: 50,
}

const jobIn = (folder: string, seed = 3): EmbeddingJob => ({
  engine,
  seed,
  train,
  validation,
  path: join(folder, 'embedding.safetensors'),
  fingerprint: embeddingFingerprint(scans, { seed }),
  checkpointSeconds: 1e9,
  threads: 1,
})

const run = (job: EmbeddingJob, resume: boolean, progress: Progress = silent, signal?: AbortSignal) =>
  trainEmbedding(
    job,
    resume,
    async () => plan,
    () => {},
    progress,
    signal,
  )

/** Aborts after so many steps. */
function stopper(steps: number): { progress: Progress; signal: AbortSignal } {
  const controller = new AbortController()
  let done = 0
  const advance = (by = 1) => {
    if ((done += by) >= steps) controller.abort(new Error('stopped'))
  }
  return {
    signal: controller.signal,
    progress: { ...silent, begin: () => ({ advance, end() {} }) },
  }
}

/** Keeps the error of held-out scans that is told after each epoch. */
function lossesTold(): { told: number[]; progress: Progress } {
  const told: number[] = []
  const advance = (_?: number, figures: Record<string, string> = {}) => {
    const loss = figures['held-out loss']
    if (loss) told.push(Number(loss))
  }
  return { told, progress: { ...silent, begin: () => ({ advance, end() {} }) } }
}

/** The mean squared error of an auto-encoder on whole scans. */
async function errorOf({ network }: Embedder, of: readonly WholeScan[]): Promise<number> {
  const step = new EvaluationStep(network, { batch: 1, restorationWeight: 1, classificationWeight: 0 })
  let sum = 0
  for (const scan of of) {
    const input = await resizeScan(scan, plan.network.patch)
    step.input.write(input)
    step.target.write(input)
    sum += (await step.run()).loss
  }
  step.dispose()
  return sum / of.length
}

describe('training the auto-encoder', () => {
  test('it learns: the error of held-out scans falls, and the best weights are kept', async () => {
    const first = await trainEmbedding(
      jobIn(newFolder()),
      false,
      async () => ({ ...plan, epochs: 1 }),
      () => {},
      silent,
    )
    const last = await trainEmbedding(
      jobIn(newFolder()),
      false,
      async () => ({ ...plan, epochs: 25 }),
      () => {},
      silent,
    )
    console.info(`held-out error after 1 epoch ${first.loss.toFixed(4)}, after 25 ${last.loss.toFixed(4)}`)
    expect(last.loss).toBeLessThan(first.loss)
    expect(last.epochs).toBe(25)
  })

  test('stopped anywhere and gone on, it ends in the same bits; so does a second run', async () => {
    const whole = newFolder()
    const reference = await run(jobIn(whole), false)
    const bits = readFileSync(join(whole, 'embedding.safetensors'))
    const vectors = await embed(reference, scans, 1, silent)
    // After 1 step, within an epoch, at an epoch's end, just before the end.
    for (const steps of [1, 4, 6, 11]) {
      const folder = newFolder()
      const { progress, signal } = stopper(steps)
      await expect(run(jobIn(folder), false, progress, signal)).rejects.toThrow('stopped')
      const checkpoint = await readEmbedding(jobIn(folder).path, jobIn(folder).fingerprint)
      expect(checkpoint!.state).toMatchObject({ done: false, step: steps })
      const resumed = await run(jobIn(folder), true)
      expect(readFileSync(join(folder, 'embedding.safetensors')).equals(bits)).toBe(true)
      expect(await embed(resumed, scans, 1, silent)).toEqual(vectors)
    }
    const again = newFolder()
    await run(jobIn(again), false)
    expect(readFileSync(join(again, 'embedding.safetensors')).equals(bits)).toBe(true)
  })

  test('a finished one is loaded, not trained again', async () => {
    const folder = newFolder()
    const first = await run(jobIn(folder), false)
    const loaded = await trainEmbedding(
      jobIn(folder),
      true,
      () => Promise.reject(new Error('no plan is needed')),
      () => {},
      silent,
    )
    expect({ ...loaded, network: undefined }).toEqual({ ...first, network: undefined })
    expect(await embed(loaded, scans, 1, silent)).toEqual(await embed(first, scans, 1, silent))
  })

  test('that of other scans or options is refused, and so is another file', async () => {
    const folder = newFolder()
    await run(jobIn(folder), false)
    const other = { ...jobIn(folder), fingerprint: embeddingFingerprint(scans.slice(1), { seed: 3 }) }
    await expect(run(other, true)).rejects.toMatchObject({
      code: 'BAD_CHECKPOINT',
      message: expect.stringMatching(/other scans or with other options/),
    })
    copyFileSync(new URL(import.meta.url).pathname, join(folder, 'embedding.safetensors'))
    await expect(run(jobIn(folder), true)).rejects.toMatchObject({ code: 'BAD_FILE' })
  })

  test('without held-out scans the training scans decide', async () => {
    const decidedBy = async (held: readonly WholeScan[]) => {
      const { told, progress } = lossesTold()
      const found = await run({ ...jobIn(newFolder()), validation: held }, false, progress)
      // The kept weights are those of the epoch with the lowest error, and have that error.
      expect(told).toHaveLength(plan.epochs)
      expect(found.bestEpoch).toBe(told.indexOf(Math.min(...told)) + 1)
      expect(await errorOf(found, held.length > 0 ? held : train)).toBeCloseTo(found.loss, 6)
      return found
    }
    const found = await decidedBy([])
    const same = await decidedBy(train)
    expect([found.bestEpoch, found.loss]).toEqual([same.bestEpoch, same.loss])
    // What is learnt of the training scans only takes away from negatives of them: there another epoch is the best.
    const negatives = train.map(({ id, shape, voxels }) => ({
      id: `negative of ${id}`,
      shape,
      voxels: voxels.map((value) => 65535 - value),
    }))
    expect(found.bestEpoch).toBe(plan.epochs)
    expect((await decidedBy(negatives)).bestEpoch).toBeLessThan(plan.epochs)
  })
})

describe('fitting the auto-encoder', () => {
  const cohort = (count: number, shape: [number, number, number]) => Array.from({ length: count }, () => ({ shape }))
  const situation = (
    count: number,
    shape: [number, number, number],
    of: Partial<EmbeddingSituation> = {},
  ): EmbeddingSituation => ({
    train: cohort(count, shape),
    validation: cohort(Math.ceil(count / 5), shape),
    device: 'cpu',
    rate: 1e11,
    memory: 8 * 2 ** 30,
    ...of,
  })

  test('a fast device with much memory gets the published one', () => {
    const chosen = planEmbedding({}, situation(400, [512, 512, 300], { device: 'cuda', rate: 1e14, memory: 2 ** 37 }))
    expect(chosen.network).toMatchObject({ baseWidth: 32, patch: [128, 128, 64], skips: false })
    expect(chosen).toMatchObject({ batch: 8, stepsPerEpoch: 50, patience: 50 })
  })

  test('two slow cores get a smaller one, whose steps fit the time', () => {
    const chosen = planEmbedding({ maxTime: 60 }, situation(24, [160, 120, 100]))
    expect(chosen.network.baseWidth).toBeLessThan(32)
    expect(chosen.batch).toBe(6)
    expect(chosen.epochs * chosen.stepsPerEpoch).toBeGreaterThanOrEqual(100)
  })

  test('little memory makes it smaller, and the batch at last', () => {
    const roomy = planEmbedding({}, situation(100, [512, 512, 300], { rate: 1e14 }))
    const tight = planEmbedding({}, situation(100, [512, 512, 300], { rate: 1e14, memory: 2 ** 30 }))
    const size = ({ network, batch }: EmbeddingPlan) =>
      network.baseWidth * network.patch.reduce((product, extent) => product * extent, batch)
    expect(size(tight)).toBeLessThan(size(roomy))
    // 28 float32 values a voxel and unit of base width.
    expect(size(tight) * 28 * 4).toBeLessThanOrEqual(2 ** 30)
  })

  test('the input has no more voxels than the scans, and few scans make small batches', () => {
    const chosen = planEmbedding({}, situation(3, [35, 50, 36], { rate: 1e14 }))
    expect(chosen.network.patch).toEqual([40, 56, 40])
    expect(chosen.batch).toBe(2)
  })

  test('what is asked for is kept', () => {
    const asked = {
      embeddingWidth: 12,
      embeddingInput: [48, 40, 24] as const,
      embeddingEpochs: 9,
      embeddingBatch: 5,
      embeddingSkips: true,
    }
    const chosen = planEmbedding(asked, situation(30, [512, 512, 300]))
    expect(chosen.network).toMatchObject({ baseWidth: 12, patch: [48, 40, 24], skips: true })
    expect(chosen).toMatchObject({ batch: 5, epochs: 9, stepsPerEpoch: 6 })
  })
})
