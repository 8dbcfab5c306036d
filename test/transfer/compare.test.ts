import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type CompareOptions, commandLineLayer, compareOptions, resolveOptions } from '../../src/config/index.js'
import { openEngine } from '../../src/engine/index.js'
import { SemgenError } from '../../src/errors.js'
import { holdFolder } from '../../src/hold-folder.js'
import { Network, publishedYNet } from '../../src/nn/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { writeWeights } from '../../src/training/checkpoint.js'
import { compare } from '../../src/transfer/compare.js'
import { type ComparedRun, summarize } from '../../src/transfer/comparison.js'
import { contentOf } from '../training/fixture.js'
import { writeBalls } from './balls.js'

/** What the machine is made to look like: its cores, and what a step costs each time that it is measured. */
const machine = vi.hoisted(() => ({ cores: undefined as number | undefined, steps: [] as number[] }))
vi.mock('node:os', async (original) => {
  const os = await original<typeof import('node:os')>()
  return { ...os, availableParallelism: () => machine.cores ?? os.availableParallelism() }
})
vi.mock('../../src/transfer/finetune-plan.js', async (original) => {
  const module = await original<typeof import('../../src/transfer/finetune-plan.js')>()
  const measureParts = async () => ({ step: machine.steps.shift()!, validation: 0.1 })
  return { ...module, measureParts }
})

let folder: string
let data: string
let weights: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-compare-'))
  data = join(folder, 'data')
  await writeBalls(data, 6)
  weights = join(folder, 'pretrained.safetensors')
  const shape = { ...publishedYNet(5), baseWidth: 4, depth: 2, patch: [16, 16, 16] as const }
  await writeWeights(weights, new Network(openEngine({ device: 'cpu', threads: 1 }), shape, 3), {})
})
afterAll(() => rmSync(folder, { recursive: true }))

const small = { patch: '16x16x16', batch: 2, threads: 1, device: 'cpu', precision: 'fp32', epochs: 1, steps: 2 }
const options = (out: string, given: object = {}): CompareOptions => {
  const asked = { data, init: ['scratch', weights], runs: 2, labelFraction: [1, 0.3], split: '0.5,0.3,0.2' }
  const layer = commandLineLayer(compareOptions, { ...asked, out: join(folder, out), ...small, ...given })
  return resolveOptions(compareOptions, layer)
}

const run = (start: string, seed: number, figure: number): ComparedRun => ({
  start,
  seed,
  figure,
  labelFraction: 1,
  labelledCases: 10,
  byOutput: { a: figure, b: figure / 2 },
  curve: [
    [5, figure / 2],
    [10 * (seed + 1), figure],
  ],
})

describe('summarize', () => {
  it('holds every start against the first', () => {
    const runs = [run('scratch', 0, 0.8), run('scratch', 1, 0.82), run('mine', 0, 0.9), run('mine', 1, 0.92)]
    const [scratch, mine] = summarize(runs, ['scratch', 'mine'], 1)
    expect(scratch).toMatchObject({ start: 'scratch', labelledCases: 10, values: [0.8, 0.82] })
    expect(scratch).not.toHaveProperty('against')
    expect(scratch!.mean).toBeCloseTo(0.81, 12)
    expect(scratch!.deviation).toBeCloseTo(Math.SQRT2 / 100, 12)
    expect(mine!.byOutput.b).toBeCloseTo(0.455, 12)
    expect(mine!.against!.difference).toBeCloseTo(0.1, 12)
    // t = 0.1 / 0.01 sqrt(2) with two degrees of freedom: p = 1 - t / sqrt(2 + t^2).
    const t = 0.1 / (Math.SQRT2 / 100)
    expect(mine!.against!.p).toBeCloseTo(1 - t / Math.sqrt(2 + t * t), 10)
    // Only the step that both runs have a validation at.
    expect(mine!.curve).toEqual([[5, expect.closeTo(0.455, 12)]])
  })
})

describe('compare', () => {
  it('runs every start with every seed and share of labels, stopped and resumed as if it had not been', async () => {
    const whole = await compare(options('whole'))
    expect(whole.summaries.map(({ start, labelledCases, values }) => [start, labelledCases, values.length])).toEqual([
      ['scratch', 3, 2],
      ['pretrained', 3, 2],
      ['scratch', 1, 2],
      ['pretrained', 1, 2],
    ])
    const page = readFileSync(whole.page, 'utf8')
    expect(page).toContain('What labels cost')
    expect(readFileSync(join(folder, 'whole/comparison.md'), 'utf8').split('\n')).toHaveLength(7)

    const controller = new AbortController()
    let made = 0
    const progress: Progress = {
      ...silent,
      begin: (_, __, unit) => ({
        advance(by = 1) {
          if (unit === 'steps' && by === 1 && ++made === 5) controller.abort(new SemgenError('ABORTED', 'Enough.'))
        },
        end() {},
      }),
    }
    await expect(compare(options('stopped'), progress, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' })
    const resumed = await compare(options('stopped', { resume: true }))
    expect(resumed.summaries).toEqual(whole.summaries)
    const beside = await compare(options('parallel', { parallel: 3 }))
    expect(beside.summaries).toEqual(whole.summaries)
    await expect(compare(options('stopped'))).rejects.toThrow(/is not empty: go on with its comparison/)
    await expect(compare(options('stopped', { resume: true, runs: 3 }))).rejects.toThrow(/--runs: 3 now/)
  })

  it('plans once a share of labels, and keeps to it when resumed: the same steps and learning rates for all', async () => {
    const given = { runs: 2, epochs: 2, steps: undefined, maxTime: '20s' }
    const plans = (out: string) =>
      readdirSync(join(folder, out, 'runs'))
        .map((run) => [run, JSON.parse(readFileSync(join(folder, out, 'runs', run, 'config.json'), 'utf8')).plan])
        .filter(([, plan]) => plan !== undefined)
    const controller = new AbortController()
    const progress: Progress = {
      ...silent,
      say: (line) => line.startsWith('Run 2') && controller.abort(new SemgenError('ABORTED', 'Enough.')),
    }
    // Were it measured again, it would be another plan each time.
    machine.steps = [1, 2, 3, 4, 5, 6, 7, 8]
    await expect(compare(options('timed', given), progress, controller.signal)).rejects.toMatchObject({
      code: 'ABORTED',
    })
    await compare(options('timed', { ...given, resume: true }))
    expect(machine.steps).toHaveLength(6)
    const all = plans('timed')
    expect(all).toHaveLength(8)
    for (const fraction of ['1', '0.3']) {
      const same = all.filter(([run]) => (run as string).includes(`-${fraction}-`)).map(([, plan]) => plan)
      expect(same).toHaveLength(4)
      for (const plan of same) expect(plan).toEqual(same[0])
    }

    machine.steps = [1, 2, 3, 4, 5, 6, 7, 8]
    await compare(options('timed-beside', { ...given, labelFraction: [1], parallel: 3 }))
    expect(new Set(plans('timed-beside').map(([, plan]) => JSON.stringify(plan))).size).toBe(1)
  })

  it('goes on where there are more cores than it was begun with', async () => {
    const given = { threads: undefined, runs: 1, labelFraction: [1] }
    const controller = new AbortController()
    const begin: Progress['begin'] = (_, __, unit) => ({
      advance: () => unit === 'steps' && controller.abort(new SemgenError('ABORTED', 'Enough.')),
      end() {},
    })
    machine.cores = 1
    const stopped = compare(options('cores', given), { ...silent, begin }, controller.signal)
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    machine.cores = 2
    const { summaries } = await compare(options('cores', { ...given, resume: true }))
    expect(summaries).toHaveLength(2)
    const threads = readdirSync(join(folder, 'cores/runs')).map(
      (run) => JSON.parse(readFileSync(join(folder, 'cores/runs', run, 'config.json'), 'utf8')).environment.threads,
    )
    expect(threads).toEqual([1, 1])
    machine.cores = undefined
  })

  it('lays the published figures beside those of a preset', async () => {
    const { page } = await compare(
      options('preset', { preset: 'bms', labels: '1,2', init: ['scratch'], runs: 1, labelFraction: [1] }),
    )
    expect(readFileSync(join(folder, 'preset/comparison.md'), 'utf8')).toContain('| Semantic Genesis | 68.82 | 0.38 |')
    expect(readFileSync(page, 'utf8')).toContain('legacyMeanIoU')
  })

  it('leaves nothing behind where no run can begin, so that the corrected command needs no --force', async () => {
    const one = { runs: 1, labelFraction: [1], init: ['scratch'] }
    await expect(compare(options('mistyped', { ...one, data: join(folder, 'nowhere') }))).rejects.toThrow(/nowhere/)
    expect(readdirSync(join(folder, 'mistyped'))).toEqual([])
    await compare(options('mistyped', one))
  })

  it('removes nothing of what --force was to replace, and tries every start before the first run', async () => {
    const one = { runs: 1, labelFraction: [1] }
    await compare(options('forced', { ...one, init: ['scratch'] }))
    const before = contentOf(join(folder, 'forced'))
    const own = join(folder, 'forced/runs/scratch-1-0/best.safetensors')
    const forced = (...init: string[]) => compare(options('forced', { ...one, init, force: true }))
    await expect(forced('scratch', join(folder, 'typo.safetensors'))).rejects.toThrow(/typo.safetensors/)
    await expect(forced('scratch', weights, join(folder, 'typo.pt'))).rejects.toThrow(/typo.pt/)
    await expect(forced('scratch', own)).rejects.toThrow(
      /best.safetensors \(--init\) lies in .*, which --force replaces/,
    )
    const nowhere = options('forced', { ...one, data: join(folder, 'nowhere'), force: true })
    await expect(compare(nowhere)).rejects.toThrow(/nowhere does not exist/)
    const odd = options('forced', { ...one, patch: '15x16x16', force: true })
    await expect(compare(odd)).rejects.toThrow(/--patch takes/)
    // Another width, which no kernel fits.
    const wide = options('forced', { ...one, baseWidth: 6, force: true })
    await expect(compare(wide)).rejects.toThrow(/shares no kernel/)
    expect(contentOf(join(folder, 'forced'))).toEqual(before)
    // In a new folder, the third of three starts is tried before the first one trains.
    const typo = join(folder, 'typo.pt')
    await expect(compare(options('third', { init: ['scratch', weights, typo] }))).rejects.toThrow(/typo.pt/)
    expect(existsSync(join(folder, 'third/runs'))).toBe(false)
    const { summaries } = await compare(options('forced', { ...one, force: true }))
    expect(summaries).toHaveLength(2)
  })

  it('keeps the results of a comparison that cannot be gone on with', async () => {
    const one = { runs: 1, labelFraction: [1], init: ['scratch'] }
    const kept = join(folder, 'kept')
    await compare(options('kept', one))
    const content = JSON.parse(readFileSync(join(kept, 'comparison.json'), 'utf8'))
    writeFileSync(
      join(kept, 'comparison.json'),
      JSON.stringify({ ...content, options: { ...content.options, runs: 2, data: join(folder, 'gone') } }),
    )
    rmSync(join(kept, 'runs'), { recursive: true })
    const gone = options('kept', { ...one, runs: 2, data: join(folder, 'gone'), resume: true })
    await expect(compare(gone)).rejects.toThrow(/gone does not exist/)
    expect(JSON.parse(readFileSync(join(kept, 'comparison.json'), 'utf8')).runs).toHaveLength(1)
    // What is no comparison is none to go on with.
    mkdirSync(join(folder, 'none'))
    writeFileSync(join(folder, 'none/notes.txt'), 'mine')
    await expect(compare(options('none', { ...one, resume: true }))).rejects.toThrow(
      /holds no comparison to go on with/,
    )
  })

  it('is refused while another uses its folder', async () => {
    const letGo = await holdFolder(join(folder, 'held'))
    await expect(compare(options('held', { resume: true }))).rejects.toThrow(`is in use by process ${process.pid}`)
    letGo()
  })

  it('refuses starts that cannot be told apart, before anything is written', async () => {
    await expect(compare(options('twice', { init: [weights, weights] }))).rejects.toThrow(/names pretrained twice/)
    expect(existsSync(join(folder, 'twice/comparison.json'))).toBe(false)
  })
})
