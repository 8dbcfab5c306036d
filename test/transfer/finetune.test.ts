import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  commandLineLayer,
  type FinetuneOptions,
  finetuneOptions,
  type PredictOptions,
  predictOptions,
  resolveOptions,
} from '../../src/config/index.js'
import { openEngine } from '../../src/engine/index.js'
import { SemgenError } from '../../src/errors.js'
import { Network, publishedYNet } from '../../src/nn/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { writeReport } from '../../src/report/index.js'
import { writeWeights } from '../../src/training/checkpoint.js'
import { finetune } from '../../src/transfer/finetune.js'
import { recordedPreparation } from '../../src/transfer/intensities.js'
import { predict } from '../../src/transfer/predict.js'
import { readFineTuned } from '../../src/transfer/usage.js'
import { readVolume, scaledValues, writeVolume } from '../../src/volumes/index.js'
import { openWeights } from '../../src/weights/index.js'
import { contentOf } from '../training/fixture.js'
import { affine, shape, writeBall, writeBalls } from './balls.js'

let folder: string
let data: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-transfer-'))
  data = join(folder, 'data')
  await writeBalls(data, 8)
  const split = { train: ['c0', 'c1', 'c2', 'c3', 'c4'], validation: ['c5', 'c6'], test: ['c7'] }
  writeFileSync(join(data, 'split.json'), JSON.stringify(split))
})
afterAll(() => rmSync(folder, { recursive: true }))

const small = { baseWidth: 8, depth: 2, patch: '16x16x16', batch: 2, threads: 1, device: 'cpu', precision: 'fp32' }
const options = (out: string, given: object = {}): FinetuneOptions =>
  resolveOptions(
    finetuneOptions,
    commandLineLayer(finetuneOptions, { data, out: join(folder, out), ...small, ...given }),
  )
const predicting = (out: string, weights: string[], given: object = {}): PredictOptions => {
  const images = [join(data, 'images/c7.nii.gz')]
  const layer = commandLineLayer(predictOptions, { images, weights, out: join(folder, out), threads: 1, ...given })
  return resolveOptions(predictOptions, layer)
}
const schedule = { epochs: 12, steps: 10, learningRate: 0.01, schedule: 'polynomial' }

function stopAfter(steps: number): { progress: Progress; signal: AbortSignal } {
  const controller = new AbortController()
  let made = 0
  const progress: Progress = {
    ...silent,
    begin: (_, __, unit) => ({
      advance(by = 1) {
        if (unit === 'steps' && by === 1 && ++made >= steps) controller.abort(new SemgenError('ABORTED', 'Enough.'))
      },
      end() {},
    }),
  }
  return { progress, signal: controller.signal }
}

const best = (out: string) => readFileSync(join(folder, out, 'best.safetensors'))

describe('finetune', () => {
  it('learns to segment, is tested on what it never saw, and predicts on the image’s own grid', async () => {
    const result = await finetune(options('learnt', schedule))
    // Two noisy balls with sharp edges: a network that works finds nearly all of them.
    expect(result.validation).toBeGreaterThan(0.85)
    expect(result.test).toMatchObject({ cases: 1 })
    expect(result.test!.dice).toBeGreaterThan(0.85)
    expect(readdirSync(join(folder, 'learnt')).sort()).toEqual([
      'best.safetensors',
      'cache',
      'cohort.json',
      'config.json',
      'last.safetensors',
      'metrics.jsonl',
      'result.json',
    ])
    const [last] = readFileSync(join(folder, 'learnt/metrics.jsonl'), 'utf8').trimEnd().split('\n').slice(-1)
    expect(JSON.parse(last!)).toMatchObject({ event: 'test', ...result.test })
    expect(readFileSync(await writeReport(join(folder, 'learnt')), 'utf8')).toContain('Dice')

    const weights = [join(folder, 'learnt/best.safetensors')]
    expect(recordedPreparation(await readFineTuned(weights[0]!))).toEqual({ modality: 'mr' })
    const [path] = await predict(predicting('predicted', weights))
    const found = await readVolume(path!)
    const truth = await readVolume(join(data, 'labels/c7.nii.gz'))
    expect([found.shape, found.affine]).toEqual([truth.shape, truth.affine])
    const [p, t] = [scaledValues(found), scaledValues(truth)]
    for (const [o, label] of [1, 2].entries()) {
      const both = p.filter((value, i) => value === label && t[i] === label).length
      const sizes = p.filter((value) => value === label).length + t.filter((value) => value === label).length
      const told = Object.values(result.test!.byOutput)[o]!
      // As told by the run itself, but for voxels where both outputs pass one half and the larger is written.
      expect(Math.abs((2 * both) / sizes - told)).toBeLessThan(0.02)
    }
    expect(readdirSync(join(folder, 'predicted'))).toEqual(['c7.nii.gz'])
  })

  it('begins by expecting each output as often as the labels have it', async () => {
    const { weights } = await finetune(options('expected', { epochs: 1, steps: 1, learningRate: 1e-9 }))
    const file = await openWeights(weights)
    const bias = (await file.read('out_tr.final_conv.bias')).data as Float32Array
    await file.close()
    const voxels = (
      await Promise.all(['c0', 'c1', 'c2', 'c3', 'c4'].map((id) => readVolume(join(data, `labels/${id}.nii.gz`))))
    ).flatMap((volume) => [...scaledValues(volume)])
    for (const [o, label] of [1, 2].entries()) {
      const share = voxels.filter((value) => value === label).length / voxels.length
      // In float32, and with one voxel more on either side, so that nothing is never or always expected.
      expect(bias[o]).toBeCloseTo(Math.log(share / (1 - share)), 2)
    }
  })

  it('that was stopped and resumed ends in the same bits', async () => {
    const given = { epochs: 3, steps: 4, augment: ['flips', 'rotations', 'scaling', 'intensity'] }
    await finetune(options('whole', given))
    for (const [i, steps] of [3, 5].entries()) {
      const { progress, signal } = stopAfter(steps)
      const stopped = finetune(options('stopped', { ...given, resume: i > 0 }), progress, signal)
      await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    }
    await expect(finetune(options('stopped', { ...given, resume: true, batch: 3 }))).rejects.toThrow(/--batch: 3 now/)
    await finetune(options('stopped', { resume: true }))
    expect(best('stopped')).toEqual(best('whole'))
  })

  it('goes on with the threads it was begun with, which decide rounding, where nobody says how many', async () => {
    const given = { epochs: 2, steps: 3, threads: undefined }
    const { progress, signal } = stopAfter(2)
    await expect(finetune(options('threads', given), progress, signal)).rejects.toMatchObject({ code: 'ABORTED' })
    // As if it had been begun on a machine with another number of cores.
    const path = join(folder, 'threads/config.json')
    const config = JSON.parse(readFileSync(path, 'utf8'))
    config.environment.threads += 1
    writeFileSync(path, JSON.stringify(config))
    const warned: string[] = []
    await finetune(options('threads', { ...given, resume: true }), { ...silent, warn: (line) => warned.push(line) })
    expect(warned).toEqual([])
  })

  it('starts from pre-trained weights, and tells what it took', async () => {
    const engine = openEngine({ device: 'cpu', threads: 1 })
    const shape = { ...publishedYNet(5), baseWidth: 8, depth: 2, patch: [16, 16, 16] as const }
    const pretrained = new Network(engine, shape, 3)
    const path = join(folder, 'pretrained.safetensors')
    await writeWeights(path, pretrained, {})
    const said: string[] = []
    const given = { init: path, epochs: 1, steps: 1, freeze: 'encoder', labelFraction: 0.4 }
    await finetune(options('started', given), { ...silent, say: (line) => said.push(line) })
    expect(said.join('\n')).toContain('1 outputs there, 2 here: starts fresh: out_tr.final_conv.weight')
    expect(said.join('\n')).toContain('Labels: those of 2 of 5 training cases')
    const { readSafetensors } = await import('../../src/weights/index.js')
    const { tensors } = await readSafetensors(join(folder, 'started/best.safetensors'))
    const kernel = (key: string) => tensors.get(key)!.data
    const first = 'down_tr64.ops.0.conv1.weight'
    expect(kernel(first)).toEqual(pretrained.tensors.get(first)!.read())
    const last = 'up_tr64.ops.1.conv1.weight'
    expect(kernel(last)).not.toEqual(pretrained.tensors.get(last)!.read())
  })

  it('averages several weights, writes probabilities, and replaces nothing unasked', async () => {
    await finetune(options('one', { epochs: 1, steps: 2, seed: 1 }))
    await finetune(options('two', { epochs: 1, steps: 2, seed: 2 }))
    const weights = ['one', 'two'].map((name) => join(folder, name, 'best.safetensors'))
    const given = { probabilities: true, format: 'metaimage', mirror: 'all' }
    const paths = await predict(predicting('pair', weights, given))
    expect(paths.map((path) => path.slice(folder.length + 1))).toEqual([
      'pair/c7.mha',
      'pair/c7-label-1.mha',
      'pair/c7-label-2.mha',
    ])
    const alone = await Promise.all(
      weights.map(async (path, i) => predict(predicting(`alone${i}`, [path], { ...given }))),
    )
    const probability = async (path: string) => scaledValues(await readVolume(path))
    const [mean, a, b] = [
      await probability(paths[1]!),
      await probability(alone[0]![1]!),
      await probability(alone[1]![1]!),
    ]
    // Means of float32 numbers in another order.
    expect(mean.every((value, i) => Math.abs(value - (a[i]! + b[i]!) / 2) < 1e-6)).toBe(true)
    await expect(predict(predicting('pair', weights, given))).rejects.toThrow(/c7.mha is there already: --force/)
    // Converted weights, and the mean of the same weights twice, answer as the weights do.
    const { averageWeights, convertWeights } = await import('../../src/weights/index.js')
    const [converted, averaged] = [join(folder, 'converted.safetensors'), join(folder, 'averaged.safetensors')]
    await convertWeights({ file: weights[0]!, out: converted, force: false })
    await averageWeights([weights[0]!, weights[0]!], averaged, false)
    for (const path of [converted, averaged]) {
      const again = await predict(predicting('again', [path], { ...given, force: true }))
      expect(await probability(again[1]!)).toEqual(a)
    }
  })
})

describe('bad input', () => {
  const refused = (given: object) => finetune(options('refused', { ...given, force: true })).catch((error) => error)

  it('gets one clear sentence each', async () => {
    expect(await refused({ data: join(folder, 'nowhere') })).toMatchObject({ code: 'IO' })
    expect((await refused({ data: folder })).message).toMatch(/has no images\/ folder/)
    expect((await refused({ labels: '3' })).message).toMatch(
      /label 3 of label 3 is in no training case, which have 1, 2/,
    )
    expect((await refused({ augment: ['none', 'flips'] })).message).toMatch(/--augment takes none, or/)
    const list = join(folder, 'list.csv')
    writeFileSync(list, 'picture,label\na,b\n')
    expect((await refused({ data: list })).message).toMatch(
      /list.csv has the columns picture, label; a list of cases has/,
    )
    writeFileSync(list, 'image,label\n,b\n')
    expect((await refused({ data: list })).message).toMatch(/row 2: image is empty/)
    writeFileSync(list, 'image,label\nmissing.nii,b.nii\n')
    expect((await refused({ data: list })).message).toMatch(/missing.nii, named by .*, does not exist/)
    const text = join(folder, 'words.json')
    writeFileSync(text, '{"training": "all"}')
    expect((await refused({ data: text })).message).toMatch(/is no list of cases: training/)
  })

  it('leaves nothing behind that the corrected command would have to force', async () => {
    const wrong = finetune(options('corrected', { patch: '16x15x16' }))
    await expect(wrong).rejects.toThrow(/--patch takes extents that are multiples of 2 \(depth 2 halves them once\)/)
    const right = await finetune(options('corrected', { epochs: 1, steps: 1 }))
    expect(right.weights).toBe(join(folder, 'corrected/best.safetensors'))
  })

  it('removes nothing of what --force was to replace', async () => {
    await finetune(options('forced', { epochs: 1, steps: 1 }))
    const before = contentOf(join(folder, 'forced'))
    const own = join(folder, 'forced/best.safetensors')
    const forced = (given: object) => finetune(options('forced', { ...given, force: true }))
    await expect(forced({ data: join(folder, 'nowhere') })).rejects.toThrow(/nowhere does not exist/)
    await expect(forced({ patch: '16x15x16' })).rejects.toThrow(/--patch takes/)
    await expect(forced({ init: join(folder, 'typo.safetensors') })).rejects.toThrow(/typo.safetensors/)
    await expect(forced({ init: join(data, 'split.json') })).rejects.toMatchObject({ code: 'BAD_FILE' })
    await expect(forced({ init: own })).rejects.toThrow(
      /best.safetensors \(--init\) lies in .*, which --force replaces/,
    )
    // A run's folder stands for its weights.
    await expect(forced({ init: join(folder, 'forced') })).rejects.toThrow(/\(--init\) lies in/)
    expect(contentOf(join(folder, 'forced'))).toEqual(before)
  })

  it('does not take what is no run for one to go on with', async () => {
    const other = join(folder, 'other')
    mkdirSync(other)
    writeFileSync(join(other, 'cohort.json'), '{}')
    await expect(finetune(options('other', { resume: true }))).rejects.toThrow(/holds no run to go on with/)
    expect(readFileSync(join(other, 'cohort.json'), 'utf8')).toBe('{}')
  })

  it('leaves cases out that do not fit, saying why, and goes on with the others', async () => {
    const odd = join(folder, 'odd')
    await writeBalls(odd, 5)
    await writeBall(odd, 'c5', 5, (label) => -label)
    const moved = affine.map((value, i) => (i === 3 ? value + 9 : value))
    await writeVolume(join(odd, 'labels/c4.nii.gz'), {
      shape,
      affine: moved,
      data: new Uint8Array(shape[0] * shape[1] * shape[2]),
    })
    rmSync(join(odd, 'labels/c3.nii.gz'))
    const warned: string[] = []
    const given = { data: odd, epochs: 1, steps: 1, split: '0.7,0.3,0' }
    await finetune(options('odd-run', given), { ...silent, warn: (line) => warned.push(line) })
    expect(warned.join('\n')).toMatch(/1 file without a counterpart; the first: .*c3.nii.gz has no label/)
    expect(warned.join('\n')).toMatch(/c4.nii.gz lies on another grid than .*: .* corners up to 9.0 mm apart/)
    expect(warned.join('\n')).toMatch(/c5.nii.gz is no label map: it holds -1/)
  })

  it('is refused by predict, too', async () => {
    const pretrained = [join(folder, 'pretrained.safetensors')]
    await expect(predict(predicting('p', pretrained))).rejects.toThrow(/holds no weights that segment/)
    const weights = [join(folder, 'one/best.safetensors')]
    const images = [join(folder, 'list.csv')]
    await expect(predict(predicting('p', weights, { images }))).rejects.toThrow(SemgenError)
    expect(existsSync(join(folder, 'p'))).toBe(false)
  })
})
