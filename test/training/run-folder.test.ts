import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  commandLineLayer,
  discoverOptions,
  resolveOptions,
  type TrainOptions,
  trainOptions,
} from '../../src/config/index.js'
import { discoverCohort } from '../../src/discovery/index.js'
import { SemgenError } from '../../src/errors.js'
import { type Progress, silent } from '../../src/progress.js'
import { CubeMaker } from '../../src/training/cubes.js'
import { NothingReplaced } from '../../src/training/run-folder.js'
import { train } from '../../src/training/train.js'
import { contentOf, listening, newFolder, writePatients } from './fixture.js'

let folder: string
let scans: string
let patternFile: string
let run: string
let count = 0

beforeAll(async () => {
  folder = newFolder()
  ;({ scans, patternFile } = await writePatients(folder))
})
beforeEach(() => {
  run = join(folder, `run${count++}`)
})
afterAll(() => rmSync(folder, { recursive: true }))

const small = { baseWidth: 4, depth: 2, patch: '8x8x8', batch: 4, epochs: 2, cubes: 8 }

function options(given: Record<string, unknown> = {}): TrainOptions {
  const asked = { source: [scans], out: run, threads: 1, device: 'cpu', ...small, recipe: 'shuffling', ...given }
  return resolveOptions(trainOptions, commandLineLayer(trainOptions, asked))
}

const semantic = (given: Record<string, unknown> = {}) =>
  options({ recipe: 'semantic-genesis', patterns: patternFile, ...given })

/** What discover leaves in `run`. */
async function discovered(given: Record<string, unknown> = {}): Promise<void> {
  const embedding = { embeddingEpochs: 1, embeddingWidth: 2, embeddingInput: '16x16x16' }
  const asked = {
    source: [scans],
    out: run,
    threads: 1,
    device: 'cpu',
    classes: 3,
    neighbours: 4,
    patch: '8x8x8',
    ...embedding,
    ...given,
  }
  await discoverCohort(resolveOptions(discoverOptions, commandLineLayer(discoverOptions, asked)))
}

/** Is stopped as soon as some work of that name begins. */
function stoppedAt(label: RegExp): { progress: Progress; signal: AbortSignal } {
  const controller = new AbortController()
  const begin: Progress['begin'] = (name) => {
    if (label.test(name)) controller.abort(new SemgenError('ABORTED', 'Stopped by the test.'))
    return { advance() {}, end() {} }
  }
  return { progress: { ...silent, begin }, signal: controller.signal }
}

describe('--force', () => {
  it.each<[string, () => TrainOptions, RegExp]>([
    ['scans that are not there', () => options({ source: [join(folder, 'typo')] }), /typo does not exist/],
    ['one scan', () => options({ source: [join(scans, 'p0.nii.gz')] }), /one usable scan/],
    ['patterns that are not there', () => semantic({ patterns: join(folder, 'typo.json') }), /typo\.json could not/],
    ['patterns that are none', () => semantic({ patterns: join(scans, 'split.json') }), /is no pattern set/],
    ['a patch that cannot be', () => options({ patch: '9x8x8' }), /--patch takes/],
    ['a patch that cannot be turned', () => options({ recipe: 'rotation', patch: '16x8x8' }), /as wide in x as in y/],
    [
      'a patch of one voxel',
      () => options({ depth: 4, batch: 1 }),
      /--depth 4 halves a patch of 8x8x8 down to one voxel/,
    ],
    [
      'an input that cannot be',
      () => semantic({ patterns: undefined, embeddingInput: '20x20x20' }),
      /--embedding-input/,
    ],
    ['fewer epochs than stages', () => semantic({ epochs: 1 }), /--epochs 1 is for all stages together/],
    ['a perturbation that is none', () => options({ perturbation: 'nonsense' }), /nonsense/],
    ['a device that cannot do it', () => options({ precision: 'tf32' }), /--precision tf32 is for cards/],
  ])('removes nothing for a run from %s', async (_, asked, sentence) => {
    await train(options({ epochs: 1 }))
    const before = contentOf(run)
    expect(before.has('best.safetensors')).toBe(true)
    await expect(train({ ...asked(), out: run, force: true })).rejects.toThrow(sentence)
    expect(contentOf(run)).toEqual(before)
  })

  it('removes nothing for a discovery in one scan', async () => {
    await discovered()
    const before = contentOf(run)
    const alone = { source: [join(scans, 'p0.nii.gz')], force: true }
    await expect(discovered(alone)).rejects.toThrow(/at least two training scans are needed/)
    expect(contentOf(run)).toEqual(before)
  })

  it('refuses inputs that it would replace, also by another name', async () => {
    await discovered()
    const before = contentOf(run)
    const forced = (given: object) => train({ ...semantic({ force: true }), ...given })
    await expect(forced({ patterns: join(run, 'patterns.json') })).rejects.toThrow(
      /patterns\.json \(--patterns\) lies in .*, which --force replaces/,
    )
    const link = join(folder, `link${count}`)
    symlinkSync(run, link)
    await expect(forced({ patterns: join(link, 'patterns.json') })).rejects.toThrow(/lies in/)
    await expect(forced({ source: [scans, join(run, '*.nii')] })).rejects.toThrow(/\(the scans\) lies in/)
    expect(contentOf(run)).toEqual(before)
    // What lies beside it, under a name that begins alike, is none of them.
    mkdirSync(`${run}-kept`)
    copyFileSync(join(run, 'patterns.json'), `${run}-kept/patterns.json`)
    // The folder of a discovery is as good as the patterns in it.
    await train(semantic({ patterns: `${run}-kept`, force: true }))
  })

  it('stopped before the new run begins, leaves the old one, and says so', async () => {
    await train(options({ epochs: 1 }))
    const before = contentOf(run)
    const { progress, signal } = stoppedAt(/Inspecting/)
    const stopped = await train(options({ force: true, seed: 3 }), progress, signal).catch((error) => error)
    expect(stopped).toBeInstanceOf(NothingReplaced)
    expect(stopped.message).toBe(`Stopped by the test. Nothing in ${run} was replaced yet.`)
    expect(contentOf(run)).toEqual(before)
  })

  it('takes neither scans nor patterns from the run that it replaces', async () => {
    await train(options({ source: ['p0', 'p1', 'p6', 'p7'].map((id) => join(scans, `${id}.nii.gz`)), epochs: 1 }))
    const { lines, progress } = listening()
    await train(options({ epochs: 1, force: true }), progress)
    expect(lines.join('\n')).toContain('6 training scans, 2 held-out scans')
  })
})

describe('--resume', () => {
  it('of a folder that discover wrote is refused, and leaves everything there', async () => {
    await discovered()
    const before = contentOf(run)
    const refused = /holds no run to go on with, as it has no config.json, and is not empty/
    await expect(train(options({ source: ['/typo'], resume: true }))).rejects.toThrow(refused)
    await expect(train(semantic({ patterns: '/typo.json', resume: true }))).rejects.toThrow(refused)
    expect(contentOf(run)).toEqual(before)
  })

  it('of a folder with prepared scans alone begins a run, and says so', async () => {
    const { progress, signal } = stoppedAt(/Preparing/)
    await expect(train(options(), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(readdirSync(run)).toEqual(['cache'])
    const heard = listening()
    await train(options({ resume: true }), heard.progress)
    expect(heard.lines[0]).toBe(`There is nothing to go on with in ${run} yet: a run begins.`)
  })

  it('that fails removes nothing', async () => {
    const moved = join(folder, 'moved')
    symlinkSync(scans, moved)
    await train(options({ source: [moved], epochs: 1 }))
    // Its scans have to be looked for again, and are not where they were.
    rmSync(join(run, 'cohort.json'))
    rmSync(moved)
    const before = contentOf(run)
    await expect(train(options({ source: [moved], epochs: 1, resume: true }))).rejects.toThrow(/moved does not exist/)
    expect(contentOf(run)).toEqual(before)
  })
})

describe('a run’s folder', () => {
  it('is refused while another process uses it, to train and to discover, and free again when it is gone', async () => {
    await train(options({ epochs: 1 }))
    const child: ChildProcess = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    try {
      writeFileSync(join(run, '.lock'), `${child.pid}\n`)
      const before = contentOf(run)
      const inUse = `${run} is in use by process ${child.pid}`
      await expect(train(options({ epochs: 1, resume: true }))).rejects.toThrow(inUse)
      await expect(train(options({ epochs: 1, force: true }))).rejects.toThrow(inUse)
      await expect(discovered()).rejects.toThrow(inUse)
      expect(contentOf(run)).toEqual(before)
    } finally {
      child.kill('SIGKILL')
    }
    await once(child, 'exit')
    await train(options({ epochs: 1, resume: true }))
    expect(existsSync(join(run, '.lock'))).toBe(false)
  })

  it('is free again after an error and after a stop', async () => {
    await expect(train(options({ source: ['/typo'] }))).rejects.toThrow(/typo/)
    expect(readdirSync(run)).toEqual([])
    const { progress, signal } = stoppedAt(/stage/)
    await expect(train(options(), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(existsSync(join(run, '.lock'))).toBe(false)
  })

  it('loses what a killed process left half-written, as soon as it is opened', async () => {
    const left = ['.last.safetensors.1a2b3c4d.tmp', 'cache/.p0.u16.1a2b3c4d.tmp', 'montages/.a.png.1a2b3c4d.tmp']
    const there = () => left.filter((name) => existsSync(join(run, name)))
    await train(options({ epochs: 1 }))
    mkdirSync(join(run, 'montages'))
    for (const name of left) writeFileSync(join(run, name), 'half')
    await expect(train(options({ epochs: 1 }))).rejects.toThrow(/already holds a run/)
    expect(there()).toEqual(left)
    await train(options({ epochs: 1, resume: true }))
    expect(there()).toEqual([])
  })

  it('a run that is stopped gives back what its cubes took of the card', async () => {
    const dispose = vi.spyOn(CubeMaker.prototype, 'dispose')
    try {
      const { progress, signal } = stoppedAt(/stage/)
      await expect(train(options(), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
      expect(dispose).toHaveBeenCalledTimes(1)
    } finally {
      dispose.mockRestore()
    }
  })
})
