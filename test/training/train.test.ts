import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commandLineLayer, resolveOptions, type TrainOptions, trainOptions } from '../../src/config/index.js'
import { readPatterns } from '../../src/discovery/index.js'
import { SemgenError } from '../../src/errors.js'
import { type Progress, silent } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import { runConfiguration, samplesFile } from '../../src/report/run-files.js'
import { train } from '../../src/training/train.js'
import { describeWeights, readSafetensors } from '../../src/weights/index.js'
import { listening, newFolder, readLog, writePatients } from './fixture.js'

let folder: string
let scans: string
let patternFile: string

beforeAll(async () => {
  folder = newFolder()
  ;({ scans, patternFile } = await writePatients(folder))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Options as a command line gives them. */
function options(out: string, given: Record<string, unknown> = {}): TrainOptions {
  const layer = commandLineLayer(trainOptions, { source: [scans], out: join(folder, out), threads: 1, ...given })
  return resolveOptions(trainOptions, layer)
}

/** A NumPy file, by the letter of its format. */
function npy(type: string, shape: readonly number[], data: Float64Array | BigInt64Array): Buffer {
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`
  const header = Buffer.from(`${text.padEnd(117)}\n`)
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0])
  return Buffer.concat([start, header, Buffer.from(data.buffer)])
}

const small = { baseWidth: 4, depth: 2, patch: '8x8x8', batch: 4, epochs: 4, cubes: 12, learningRate: 0.01 }

/** Stops once so many steps are made. */
function stopAfter(steps: number): { progress: Progress; signal: AbortSignal } {
  const controller = new AbortController()
  let made = 0
  const advance = (by = 1) => {
    made += by
    if (made >= steps) controller.abort(new SemgenError('ABORTED', 'Stopped by the test.'))
  }
  const begin: Progress['begin'] = (label) => ({ advance: label.endsWith('stage') ? advance : () => {}, end() {} })
  return { progress: { ...silent, begin }, signal: controller.signal }
}

/** best.safetensors as it is; of last.safetensors the tensors, since its metadata holds a clock. */
async function bits(out: string) {
  const { tensors } = await readSafetensors(join(folder, out, 'last.safetensors'))
  return { best: readFileSync(join(folder, out, 'best.safetensors')), last: tensors }
}

describe('train', () => {
  it('goes from a folder of scans to weights, samples and figures, and says what it will do first', async () => {
    const { lines, progress } = listening()
    const result = await train(options('whole', { ...small, patterns: patternFile }), progress)
    expect(result.stages.map(({ stage }) => stage)).toEqual(['classification', 'joint'])
    expect(result).toMatchObject({ steps: 12, chance: 1 / 3 })
    const text = lines.join('\n')
    expect(text).toContain('6 training scans, 2 held-out scans')
    expect(text).toMatch(/In all: 12 steps, 48 cubes, .* of memory, about/)
    expect(text).toMatch(/times chance/)

    const run = join(folder, 'whole')
    expect(readdirSync(run).sort()).toEqual([
      'best.safetensors',
      'cache',
      'cohort.json',
      'config.json',
      'last.safetensors',
      'metrics.jsonl',
      'patterns.json',
      'samples.bin',
      'samples.json',
    ])
    const config = runConfiguration.parse(JSON.parse(readFileSync(join(run, 'config.json'), 'utf8')))
    expect(config.options).toMatchObject({ baseWidth: 4, recipe: 'semantic-genesis', seed: 0 })
    expect(config.chosen).toMatchObject({ validationCubes: 6, schedule: 'step' })
    expect(config.network).toEqual(result.network)
    const log = readLog(join(run, 'metrics.jsonl'))
    expect(log.at(-1)).toMatchObject({ event: 'end', reason: 'finished' })

    const samples = samplesFile.parse(JSON.parse(readFileSync(join(run, 'samples.json'), 'utf8')))
    expect(samples.step).toBe(log.findLast((event) => event.event === 'validation' && event.best)!.step)
    expect(samples.samples).toHaveLength(6)
    expect(new Set(samples.samples.map(({ pattern }) => pattern))).toEqual(new Set([0, 1, 2]))
    expect(samples.samples[0]!.spacing).toEqual([1, 1, 2])
    expect(readFileSync(join(run, 'samples.bin'))).toHaveLength(6 * 3 * 512)
    // The errors told are those of the cubes beside them, to the rounding of a byte.
    const cubes = readFileSync(join(run, 'samples.bin'))
    samples.samples.forEach(({ perturbedError, restoredError }, i) => {
      for (const [part, told] of [
        [1, perturbedError],
        [2, restoredError],
      ] as const) {
        let sum = 0
        for (let v = 0; v < 512; v++) sum += ((cubes[3 * i * 512 + v]! - cubes[(3 * i + part) * 512 + v]!) / 255) ** 2
        expect(Math.abs(Math.sqrt(sum / 512) - Math.sqrt(told))).toBeLessThan(0.004)
      }
    })
    const { metadata } = await describeWeights(result.weights)
    expect(metadata).toMatchObject({
      recipe: 'semantic-genesis',
      patch: [8, 8, 8],
      spacing: [1, 1, 2],
      norm: 'running',
    })
    expect(metadata.intensities).toMatchObject({ modality: 'mr' })
  })

  it('runs a baseline without patterns, on random crops', async () => {
    const result = await train(options('baseline', { ...small, recipe: 'models-genesis' }))
    expect(result.network).toMatchObject({ kind: 'u-net', classes: 0 })
    expect(result.chance).toBeUndefined()
    expect(result.stages[0]!.figures.perturbed).toBeGreaterThan(0)
    expect(existsSync(join(folder, 'baseline', 'patterns.json'))).toBe(false)
    const config = JSON.parse(readFileSync(join(folder, 'baseline', 'config.json'), 'utf8'))
    expect(config.recipe.perturbation.name).toBe('models-genesis')
  })

  it('discovers patterns where none are given, once', async () => {
    const given = { ...small, epochs: 2, classes: 3, neighbours: 4, embeddingEpochs: 2, embeddingWidth: 2 }
    const { progress, signal } = stopAfter(1)
    const stopped = train(options('discovering', { ...given, embeddingInput: '16x16x16' }), progress, signal)
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    const found = readFileSync(join(folder, 'discovering', 'patterns.json'))
    const result = await train(options('discovering', { resume: true }))
    expect(result.network.classes).toBe(JSON.parse(found.toString()).classes.length)
    expect(readFileSync(join(folder, 'discovering', 'patterns.json')).equals(found)).toBe(true)
    expect(readdirSync(join(folder, 'discovering', 'montages')).length).toBeGreaterThanOrEqual(result.network.classes)
  })

  it('keeps the patterns and the perturbation that it was given, and goes on once their files are gone', async () => {
    const given = join(folder, 'given.json')
    const perturbation = join(folder, 'mild.json')
    copyFileSync(patternFile, given)
    const mild = { name: 'mild', stages: [{ oneOf: [{ share: 1, step: { kind: 'inpainting', blocks: 1 } }] }] }
    writeFileSync(perturbation, JSON.stringify(mild))
    const { progress, signal } = stopAfter(2)
    const asked = { ...small, epochs: 2, patterns: given, perturbation }
    await expect(train(options('given', asked), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await readPatterns(join(folder, 'given/patterns.json'))).toEqual(await readPatterns(given))
    rmSync(given)
    renameSync(perturbation, `${perturbation}.elsewhere.json`)
    await train(options('given', { resume: true }))
    renameSync(`${perturbation}.elsewhere.json`, perturbation)
    await train(options('given-whole', { ...asked, patterns: patternFile }))
    expect(await bits('given')).toEqual(await bits('given-whole'))
  })

  it('trains on the published pattern arrays', async () => {
    const arrays = join(folder, 'arrays')
    mkdirSync(arrays)
    for (const [part, cubes] of [
      ['train', 12],
      ['val', 4],
    ] as const) {
      const random = new Random(1, `test/${part}`)
      const voxels = Float64Array.from({ length: cubes * 512 }, () => random.uniform())
      writeFileSync(join(arrays, `${part}_data1_x.npy`), npy('<f8', [cubes, 8, 8, 8], voxels))
      const labels = BigInt64Array.from({ length: cubes }, (_, i) => BigInt(i % 2))
      writeFileSync(join(arrays, `${part}_label1_x.npy`), npy('<i8', [cubes], labels))
    }
    const result = await train(options('published', { ...small, epochs: 2, patterns: arrays }))
    expect(result).toMatchObject({ network: { classes: 2, patch: [8, 8, 8] }, chance: 0.5 })
    const refused = train(options('useless', { ...small, recipe: 'shuffling', patterns: arrays }))
    await expect(refused).rejects.toThrow(/no use for --patterns/)
  })

  it('chooses network, patch, batch and schedule where they are not given, and keeps to --max-time', async () => {
    const { lines, progress } = listening()
    const result = await train(
      options('fitted', { recipe: 'inpainting', semantics: true, patterns: patternFile, maxTime: '6s' }),
      progress,
    )
    expect(result.network).toMatchObject({ kind: 'y-net', classes: 3, patch: [8, 8, 8] })
    const config = JSON.parse(readFileSync(join(folder, 'fitted', 'config.json'), 'utf8'))
    expect(config.chosen).toMatchObject({ baseWidth: result.network.baseWidth, schedule: 'cosine' })
    expect(lines.join('\n')).toMatch(/Chosen: Base width \d+, depth \d: about [\d,]+ training cubes fit/)
  })

  it('goes on after a stop to the same bits, and refuses other options meanwhile', async () => {
    const given = { ...small, patterns: patternFile, checkpointEvery: '1000s' }
    await train(options('unbroken', given))
    const { progress, signal } = stopAfter(5)
    await expect(train(options('broken', given), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(train(options('broken', given))).rejects.toMatchObject({ code: 'BAD_OPTION' })
    await expect(train(options('broken', { ...given, resume: true, epochs: 9 }))).rejects.toThrow(/--epochs: 9 now/)
    // Options left at their defaults are the run's own.
    await train(options('broken', { resume: true }))
    expect(await bits('broken')).toEqual(await bits('unbroken'))
  })

  it('refuses a folder that holds something else, and replaces a run only when told to', async () => {
    mkdirSync(join(folder, 'home'))
    writeFileSync(join(folder, 'home', 'thesis.txt'), 'precious')
    await expect(train(options('home', small))).rejects.toThrow(/is not empty and holds no run/)
    const given = { ...small, recipe: 'shuffling', epochs: 1 }
    await train(options('twice', given))
    const first = await bits('twice')
    await expect(train(options('twice', { ...given, seed: 5 }))).rejects.toThrow(/already holds a run/)
    // A command that cannot be carried out replaces nothing.
    const impossible = train(options('twice', { ...given, device: 'cpu', precision: 'tf32', force: true }))
    await expect(impossible).rejects.toThrow(/--precision tf32 is for cards/)
    expect(await bits('twice')).toEqual(first)
    await train(options('twice', { ...given, seed: 5, force: true }))
    expect(await bits('twice')).not.toEqual(first)
    await expect(train(options('twice', { ...given, force: true, resume: true }))).rejects.toThrow(/exclude each other/)
  })

  it('says in one sentence what is wrong with its input', async () => {
    const one = join(folder, 'one')
    mkdirSync(one)
    writeFileSync(join(one, 'p0.nii.gz'), readFileSync(join(scans, 'p0.nii.gz')))
    await expect(train({ ...options('a', small), source: [one] })).rejects.toThrow(/one usable scan/)
    await expect(train(options('a', { ...small, patch: '9x8x8' }))).rejects.toThrow(/--patch takes/)
    await train(options('a', { ...small, recipe: 'shuffling', epochs: 1 })) // corrected, with no need of --force
    await expect(train(options('c', { ...small, perturbation: 'nonsense' }))).rejects.toThrow(/nonsense/)
    await expect(train(options('d', { ...small, patterns: join(folder, 'none.json') }))).rejects.toMatchObject({
      code: 'IO',
    })
  })
})
