import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { projectRoot } from '../../src/engine/addon.js'
import { openEngine } from '../../src/engine/index.js'
import { SemgenError } from '../../src/errors.js'
import { namedRecipes } from '../../src/perturb/index.js'
import { type Progress, silent } from '../../src/progress.js'
import type { MetricsEvent } from '../../src/report/run-files.js'
import { type Job, runJob } from '../../src/training/job.js'
import { describeWeights, readSafetensors } from '../../src/weights/index.js'
import { newFolder, readLog, smallJob } from './fixture.js'

let folder: string
beforeEach(() => {
  folder = newFolder()
})
afterEach(() => rmSync(folder, { recursive: true }))

const simulated = existsSync(join(projectRoot(), 'native/sim/build'))
if (!simulated) console.info('skipped: resuming in the simulator: it is not built here')

/** Stops a run once so many steps have been made since the call. */
function stopAfter(steps: number): { progress: Progress; signal: AbortSignal } {
  const controller = new AbortController()
  let made = 0
  return {
    signal: controller.signal,
    progress: {
      ...silent,
      begin: () => ({
        advance(by = 1) {
          made += by
          if (by === 1 && made >= steps) controller.abort(new SemgenError('ABORTED', 'Stopped by the test.'))
        },
        end() {},
      }),
    },
  }
}

/** What must be the same however often a run was stopped: the log without clocks, and the files. */
function outcome(job: Job) {
  const log = readLog(job.files.metrics)
    .filter(({ event }) => event !== 'resume')
    .map((event) => ({ ...event, time: '', ...(event.event === 'step' ? { cubesPerSecond: 0, waiting: 0 } : {}) }))
  return { log, best: readFileSync(job.files.best) }
}

async function tensors(path: string) {
  return (await readSafetensors(path)).tensors
}

describe('a run', () => {
  it('trains both stages, validates every epoch, and tells everything in its log', async () => {
    const job = smallJob(folder, { epochs: 6 })
    const state = await runJob(job, false, silent)
    expect(state).toMatchObject({ stage: 2, totalSteps: 48 })
    const log = readLog(job.files.metrics)
    const of = <E extends MetricsEvent['event']>(event: E) =>
      log.filter((line): line is Extract<MetricsEvent, { event: E }> => line.event === event)
    expect(log[0]).toMatchObject({ event: 'start', step: 0 })
    expect(of('stage').map(({ stage, step }) => [stage, step])).toEqual([
      ['classification', 0],
      ['joint', 24],
    ])
    expect(of('step').map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, i) => 3 * (i + 1)))
    const validations = of('validation')
    expect(validations.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => 4 * (i + 1)))
    // The classification stage has nothing to restore; the joint one tells what restoring nothing would give.
    expect(validations[0]).not.toHaveProperty('restoration')
    expect(validations.slice(6).every(({ perturbed, restoration }) => perturbed! > 0 && restoration! > 0)).toBe(true)
    expect(new Set(validations.slice(6).map(({ perturbed }) => perturbed)).size).toBe(1)
    expect(log.at(-1)).toMatchObject({ event: 'end', step: 48, reason: 'finished' })
    expect(readdirSync(folder).sort()).toEqual(['best.safetensors', 'last.safetensors', 'metrics.jsonl'])
  })

  it('learns: it names the three patterns of patients it has not seen, and restores their crops', async () => {
    // Noise around a window can be undone; the published deformation, of 4 voxels, is too wide for a cube of 8.
    const job = smallJob(folder, { epochs: 30, batch: 6, perturbation: namedRecipes.outpainting })
    const { results } = await runJob(job, false, silent)
    const [classification, joint] = results
    // Six held-out crops; chance is two of them.
    expect(classification!.figures.accuracy).toBeGreaterThan(0.8)
    expect(joint!.figures.accuracy).toBeGreaterThan(0.8)
    expect(joint!.figures.restoration!).toBeLessThan(joint!.figures.perturbed! / 2)
  })

  it('keeps the best weights, with a record of how to use them, and ends with them in the network', async () => {
    const job = smallJob(folder, { epochs: 6 })
    const { results } = await runJob(job, false, silent)
    const best = await describeWeights(job.files.best)
    expect(best.metadata).toMatchObject({
      format: 'semgen-native weights',
      recipe: 'semantic-genesis',
      network: job.network.shape,
      stage: 'joint',
      epoch: results[1]!.epoch,
    })
    expect(best.tensors.map(({ key }) => key)).toEqual([...job.network.tensors.keys()])
    const stored = await tensors(job.files.best)
    for (const [key, value] of job.network.save())
      if (value instanceof Float32Array) expect(value, key).toEqual(stored.get(key)!.data)
    const losses = readLog(job.files.metrics).flatMap((line) =>
      line.event === 'validation' && line.stage === 'joint' ? [line.loss] : [],
    )
    expect(losses.indexOf(Math.min(...losses)) + 1).toBe(results[1]!.epoch)
  })

  it('stops a stage early when validation gets no better', async () => {
    // A learning rate that moves nothing: the first validation stays the best.
    const job = smallJob(folder, { epochs: 40, patience: 2, learningRate: 1e-12, schedule: 'constant', norm: 'batch' })
    const { results } = await runJob(job, false, silent)
    expect(results.every(({ reason, epochs }) => reason === 'patience' && epochs <= 6)).toBe(true)
    expect(readLog(job.files.metrics).at(-1)).toMatchObject({ event: 'end', reason: 'patience' })
  })

  it('stops with a sentence when the loss runs away, and keeps the checkpoint before', async () => {
    const job = smallJob(folder, { stages: 'joint', learningRate: 1e6, schedule: 'constant', epochs: 50 })
    const error = await runJob(job, false, silent).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'DIVERGED' })
    expect(error.message).toMatch(/^Training diverged in epoch \d+ of the joint stage .*--learning-rate\.$/)
    expect(readLog(job.files.metrics).at(-1)).toMatchObject({ event: 'end', reason: 'diverged' })
    for (const [, { data }] of await tensors(job.files.last))
      expect(Array.from(data as Float32Array, Number).every(Number.isFinite)).toBe(true)
  })
})

describe('a run that begins with a network that knows a lot', () => {
  /** Losses of its steps, of a task in which one that knows nothing has ln 2. */
  const begunWith = (losses: readonly number[]): Job => {
    const job = smallJob(folder, { stages: 'joint', epochs: 1, stepsPerEpoch: losses.length })
    return {
      ...job,
      open(stage) {
        const parts = job.open(stage)
        let made = 0
        const run = async (rate: number) => ({ ...(await parts.step.run(rate)), loss: losses[made++]! })
        const { optimizerState } = parts.step
        return {
          ...parts,
          step: { optimizerState, run, dispose: () => parts.step.dispose() },
          knowingNothing: Math.LN2,
        }
      },
    }
  }

  it('may lose what one that knows nothing does not have', async () => {
    const { results } = await runJob(begunWith([0.01, 0.4, 1, 0.02]), false, silent)
    expect(results).toHaveLength(1)
  })

  it('stops when it is ten times as far off as that', async () => {
    const refused = { code: 'DIVERGED', message: expect.stringMatching(/a network that knows nothing has 0\.69/) }
    await expect(runJob(begunWith([0.01, 0.4, 8]), false, silent)).rejects.toMatchObject(refused)
  })
})

describe('a run that was stopped and resumed', () => {
  it.each([
    ['in the middle of an epoch', [6]],
    ['at the end of an epoch, before its validation', [8]],
    ['at the end of a stage', [12]],
    ['in the second stage', [17]],
    ['again and again', [1, 2, 4, 1, 5, 6]],
  ])('%s ends in the same bits as one that was not', async (_, stops) => {
    const whole = smallJob(join(folder))
    await runJob(whole, false, silent)
    const expected = outcome(whole)
    const last = await tensors(whole.files.last)

    const other = newFolder()
    try {
      for (const [i, steps] of stops.entries()) {
        const { progress, signal } = stopAfter(steps)
        await expect(runJob(smallJob(other), i > 0, progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
        expect(readLog(join(other, 'metrics.jsonl')).at(-1)).toMatchObject({ event: 'end', reason: 'stopped' })
      }
      const job = smallJob(other)
      await runJob(job, true, silent)
      expect(outcome(job)).toEqual(expected)
      expect(await tensors(job.files.last)).toEqual(last)
    } finally {
      rmSync(other, { recursive: true })
    }
  })

  it.for(['fp32', 'bf16'] as const)('on two threads in %s does so, too', async (precision, context) => {
    if (precision === 'bf16' && !openEngine({ device: 'cpu' }).about.bf16)
      return context.skip('this CPU does not compute in bfloat16')
    const options = { precision, threads: 2, epochs: 2 }
    const whole = smallJob(folder, options)
    await runJob(whole, false, silent)
    const other = newFolder()
    try {
      const { progress, signal } = stopAfter(10)
      await runJob(smallJob(other, options), false, progress, signal).catch(() => {})
      const job = smallJob(other, options)
      await runJob(job, true, silent)
      expect(outcome(job)).toEqual(outcome(whole))
    } finally {
      rmSync(other, { recursive: true })
    }
  })

  it.skipIf(!simulated)('on a card, as the simulator stands in for one, does so, too', async () => {
    const options = { device: 'sim', batch: 2, epochs: 1, stepsPerEpoch: 2 } as const
    const whole = smallJob(folder, options)
    await runJob(whole, false, silent)
    const other = newFolder()
    try {
      const { progress, signal } = stopAfter(3)
      await runJob(smallJob(other, options), false, progress, signal).catch(() => {})
      const job = smallJob(other, options)
      await runJob(job, true, silent)
      expect(outcome(job)).toEqual(outcome(whole))
      expect(await tensors(job.files.last)).toEqual(await tensors(whole.files.last))
    } finally {
      rmSync(other, { recursive: true })
    }
  })

  it('goes on from an older checkpoint as from the newest, whatever later files are there', async () => {
    // As after kill -9: last.safetensors is from the beginning of the stage, log and best weights are ahead of it.
    const job = smallJob(folder)
    const { progress, signal } = stopAfter(2)
    await runJob(job, false, progress, signal).catch(() => {})
    const early = readFileSync(job.files.last)
    await runJob(smallJob(folder), true, silent)
    const expected = outcome(job)
    const last = await tensors(job.files.last)
    writeFileSync(job.files.last, early)
    writeFileSync(job.files.metrics, `${readFileSync(job.files.metrics, 'utf8')}{"event":"ste`)
    await runJob(smallJob(folder), true, silent)
    expect(outcome(job)).toEqual(expected)
    expect(await tensors(job.files.last)).toEqual(last)
  })

  it('has nothing left to do when it was finished', async () => {
    const job = smallJob(folder)
    const state = await runJob(job, false, silent)
    const again = smallJob(folder)
    expect(await runJob(again, true, silent)).toEqual(state)
    expect(again.network.save()).toEqual(job.network.save())
  })
})

describe('a checkpoint that cannot be gone on from', () => {
  const resume = (job: Job) => runJob(job, true, silent).catch((thrown) => thrown)

  it('is refused in one sentence when it is cut in half, of another network, or of another run', async () => {
    const job = smallJob(folder)
    await runJob(job, false, silent)
    const whole = readFileSync(job.files.last)

    const other = smallJob(folder)
    expect(await resume({ ...other, fingerprint: 'another' })).toMatchObject({ code: 'BAD_CHECKPOINT' })

    const restoring = smallJob(folder, { recipe: 'models-genesis' })
    const mismatch = await resume(smallJob(folder, { recipe: 'autoencoder' }))
    expect(mismatch).toMatchObject({ code: 'BAD_CHECKPOINT' })
    expect(mismatch.message).toContain('another network')
    expect(restoring.network.shape.classes).toBe(0)

    writeFileSync(job.files.last, readFileSync(job.files.best))
    expect(await resume(smallJob(folder))).toMatchObject({ code: 'BAD_CHECKPOINT' })

    writeFileSync(job.files.last, whole)
    truncateSync(job.files.last, whole.length / 2)
    const cut = await resume(smallJob(folder))
    expect(cut).toMatchObject({ code: 'BAD_FILE' })
    expect(cut.message).toContain(job.files.last)
  })
})
