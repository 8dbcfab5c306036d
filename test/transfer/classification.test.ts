import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type CompareOptions,
  commandLineLayer,
  compareOptions,
  type FinetuneOptions,
  finetuneOptions,
  type PredictOptions,
  predictOptions,
  resolveOptions,
} from '../../src/config/index.js'
import { openEngine } from '../../src/engine/index.js'
import { SemgenError } from '../../src/errors.js'
import { rank } from '../../src/evaluation/ranking.js'
import { readTable } from '../../src/evaluation/table.js'
import { Network, publishedYNet } from '../../src/nn/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { writeReport } from '../../src/report/index.js'
import { writeWeights } from '../../src/training/checkpoint.js'
import { compare } from '../../src/transfer/compare.js'
import { finetune } from '../../src/transfer/finetune.js'
import { predict } from '../../src/transfer/predict.js'
import { readSafetensors } from '../../src/weights/index.js'
import { blob, extents, writeBlobs, writeBlobVolumes, writeNpz } from './blobs.js'

let folder: string
let data: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-classify-'))
  data = join(folder, 'blobs.npz')
  await writeBlobs(data, { train: 24, val: 10, test: 12 })
})
afterAll(() => rmSync(folder, { recursive: true }))

const small = { task: 'classify', baseWidth: 4, depth: 2, batch: 4, threads: 1, device: 'cpu', precision: 'fp32' }
const options = (out: string, given: object = {}): FinetuneOptions =>
  resolveOptions(
    finetuneOptions,
    commandLineLayer(finetuneOptions, { data, out: join(folder, out), ...small, ...given }),
  )
const predicting = (out: string, weights: string[], images: string[], given: object = {}): PredictOptions => {
  const layer = commandLineLayer(predictOptions, { images, weights, out: join(folder, out), threads: 1, ...given })
  return resolveOptions(predictOptions, layer)
}
const learning = { epochs: 12, steps: 12, learningRate: 0.01, schedule: 'polynomial', augment: 'flips,shifts' }
const best = (out: string) => join(folder, out, 'best.safetensors')
const spoken = () => {
  const said: string[] = []
  const keep = (line: string) => void said.push(line)
  return { said, progress: { ...silent, say: keep, warn: keep } as Progress }
}

describe('finetune --task classify', () => {
  it('learns to tell blobs from noise, is tested on what it never saw, and predicts the same', async () => {
    const { said, progress } = spoken()
    const result = await finetune(options('learnt', learning), progress)
    expect(result).toMatchObject({ measure: 'auc', labelledCases: 24, test: { cases: 12 } })
    // A blob stands out by twice the noise's deviation in a hundred voxels: a network that works misses hardly any.
    expect(result.validation).toBeGreaterThan(0.95)
    expect(result.test!.auc).toBeGreaterThan(0.95)
    const { auc, accuracy } = result.test!.intervals!
    expect(auc![0]).toBeLessThanOrEqual(result.test!.auc!)
    expect(auc![1]).toBeGreaterThanOrEqual(result.test!.auc!)
    expect(accuracy![0]).toBeLessThanOrEqual(result.test!.accuracy!)
    expect(said.join('\n')).toContain('0 (12), 1 (12); one class an image: softmax and cross-entropy')
    expect(said.at(-1)).toMatch(/Test part, 12 images: AUC .* accuracy .* balanced .* by bootstrap/)

    const log = readFileSync(join(folder, 'learnt/metrics.jsonl'), 'utf8').trimEnd().split('\n')
    const events = log.map((line) => JSON.parse(line))
    expect(events.at(-1)).toMatchObject({ event: 'test', ...result.test })
    const validation = events.find(({ event }) => event === 'validation')
    expect(validation).toMatchObject({ auc: expect.any(Number), balancedAccuracy: expect.any(Number) })
    const page = readFileSync(await writeReport(join(folder, 'learnt')), 'utf8')
    expect(page).toContain('AUC on held-out images')
    expect(page).toContain('AUC, test part')
    expect(page).not.toContain('Pattern accuracy')

    const [path] = await predict(predicting('predicted', [best('learnt')], [data], { batch: 5 }))
    expect(readdirSync(join(folder, 'predicted'))).toEqual(['predictions.csv'])
    const { columns, rows } = await readTable(path!)
    expect(columns).toEqual(['image', 'probability_0', 'probability_1', 'predicted', 'label'])
    expect(rows.map(([id]) => id)).toEqual(Array.from({ length: 12 }, (_, i) => `test-${String(i).padStart(2, '0')}`))
    for (const [, p, q, called] of rows) {
      expect(Number(p) + Number(q)).toBeCloseTo(1, 12)
      expect(called).toBe(Number(q) > Number(p) ? '1' : '0')
    }
    const scores = rows.map((row) => Number(row[2]))
    const positive = rows.map((row) => row[4] === '1')
    // In batches of another size, whose float32 sums are made in another order, two scores may change places.
    expect(Math.abs(rank(scores, positive)!.auc - result.test!.auc!)).toBeLessThan(0.03)
    const [train] = await predict(
      predicting('train', [best('learnt'), best('learnt')], [data], { part: 'train', mirror: 'all' }),
    )
    expect((await readTable(train!)).rows).toHaveLength(24)
    await expect(predict(predicting('train', [best('learnt')], [data]))).rejects.toThrow(/is there already: --force/)
  })

  it('that was stopped and resumed ends in the same bits', async () => {
    const given = { epochs: 3, steps: 4, augment: 'flips,rotations,scaling,shifts,intensity', classWeights: 'balanced' }
    const whole = await finetune(options('whole', given))
    for (const [i, steps] of [3, 5].entries()) {
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
      const stopped = finetune(options('stopped', { ...given, resume: i > 0 }), progress, controller.signal)
      await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    }
    const other = options('stopped', { ...given, resume: true, task: undefined })
    await expect(finetune(other)).resolves.toMatchObject({ test: whole.test! })
    expect(readFileSync(best('stopped'))).toEqual(readFileSync(best('whole')))
    const events = (out: string) =>
      readFileSync(join(folder, out, 'metrics.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter(({ event }) => event === 'validation' || event === 'test')
        .map(({ time: _, ...rest }) => rest)
    expect(events('stopped')).toEqual(events('whole'))
  })

  it('starts from pre-trained weights of other channels, says so, and keeps a frozen encoder', async () => {
    const engine = openEngine({ device: 'cpu', threads: 1 })
    const shape = { ...publishedYNet(5), baseWidth: 4, depth: 2, patch: [16, 16, 16] as const }
    const pretrained = new Network(engine, shape, 3)
    const path = join(folder, 'pretrained.safetensors')
    await writeWeights(path, pretrained, {})
    const { said, progress } = spoken()
    const given = { init: path, epochs: 1, steps: 2, freeze: 'encoder', labelFraction: 0.25 }
    await finetune(options('started', given), progress)
    expect(said.join('\n')).toMatch(/missing .*fc.weight/)
    expect(said.join('\n')).toContain('Labels: those of 6 of 24 training images')
    const { tensors, metadata } = await readSafetensors(best('started'))
    const first = 'down_tr64.ops.0.conv1.weight'
    expect(tensors.get(first)!.data).toEqual(pretrained.tensors.get(first)!.read())
    expect(metadata).toMatchObject({ task: 'classification', exclusive: 'true', fit: 'resize' })

    const two = join(folder, 'two.npz')
    const arrays: Parameters<typeof writeNpz>[1] = {}
    for (const part of ['train', 'val', 'test']) {
      const images = [0, 1, 2, 3].map((i) => Uint8Array.from([...blob(i, i % 2 === 1)].flatMap((v) => [v, 255 - v])))
      Object.assign(arrays, {
        [`${part}_images`]: { shape: [4, ...extents, 2], data: Buffer.concat(images) },
        [`${part}_labels`]: { shape: [4, 3], data: Uint8Array.of(0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0) },
      })
    }
    await writeNpz(two, arrays)
    const heard = spoken()
    const result = await finetune(options('two', { data: two, init: path, epochs: 1, steps: 2 }), heard.progress)
    expect(heard.said.join('\n')).toContain('spread from 1 to 2 input channels')
    expect(heard.said.join('\n')).toContain('0 (2), 1 (2), 2 (1); any number an image: sigmoids and binary')
    expect(Object.keys(result.test!.byOutput)).toEqual(['0', '1', '2'])
    const [csv] = await predict(predicting('two-predicted', [best('two')], [two]))
    const { columns, rows } = await readTable(csv!)
    expect(columns).toEqual(['image', 'probability_0', 'probability_1', 'probability_2', 'predicted'])
    for (const [, a, b, c, called] of rows)
      expect(called).toBe(['0', '1', '2'].filter((_, i) => Number([a, b, c][i]) > 0.5).join('|'))
    await expect(predict(predicting('p', [best('two')], [data]))).rejects.toThrow(/takes images of 2 channels/)
    const both = [best('two'), best('started')]
    await expect(predict(predicting('p', both, [two]))).rejects.toThrow(/do not go together: classes, channels/)
  })

  it('is compared by AUC', async () => {
    const asked = {
      data,
      out: join(folder, 'compared'),
      ...small,
      init: ['scratch', join(folder, 'pretrained.safetensors')],
    }
    const layer = commandLineLayer(compareOptions, { ...asked, runs: 2, epochs: 1, steps: 2 })
    const { summaries, page } = await compare(resolveOptions(compareOptions, layer) as CompareOptions)
    expect(summaries.map(({ start, values }) => [start, values.length])).toEqual([
      ['scratch', 2],
      ['pretrained', 2],
    ])
    expect(readFileSync(page, 'utf8')).toContain('AUC on cases that nothing was chosen by')
    expect(readFileSync(join(folder, 'compared/comparison.md'), 'utf8')).toContain('| mean AUC |')
  })
})

describe('folds', () => {
  it('hold every image out once, but for those of the test part', async () => {
    const counts: string[] = []
    for (const fold of [1, 2, 3]) {
      const { said, progress } = spoken()
      await finetune(options(`fold${fold}`, { folds: 3, fold, epochs: 1, steps: 1, batch: 2 }), progress)
      counts.push(said.find((line) => line.startsWith('Cases:'))!)
    }
    // 34 images outside of the test part.
    expect(counts.map((line) => /(\d+) to train with, (\d+) held out, (\d+) for/.exec(line)!.slice(1))).toEqual([
      ['22', '12', '12'],
      ['23', '11', '12'],
      ['23', '11', '12'],
    ])
    const lost = finetune(options('fold4', { folds: 3, fold: 4 }))
    await expect(lost).rejects.toThrow(/--fold takes 1 to 3/)
    await expect(finetune(options('channels', { channels: 'flair' }))).rejects.toThrow(
      /--channels is for --task segment/,
    )
  })
})

describe('a list of volumes', () => {
  let list: string
  let rows: string[]
  beforeAll(async () => {
    rows = await writeBlobVolumes(folder, 16)
    list = join(folder, 'list.csv')
    writeFileSync(list, ['image,label,split', ...rows].join('\n'))
  })

  it('is learnt from, resized or cropped, and volumes are predicted by name', async () => {
    const { said, progress } = spoken()
    await finetune(options('list', { data: list, epochs: 2, steps: 4, patch: '8x8x8' }), progress)
    expect(said.join('\n')).toContain(
      'Cases: 8 to train with, 4 held out, 4 for testing; 1 channel; outputs: blob, noise.',
    )
    expect(readdirSync(join(folder, 'list'))).toContain('cohort.json')
    await finetune(options('cropped', { data: list, epochs: 1, steps: 2, patch: '8x8x8', fit: 'crop' }))
    for (const name of ['list', 'cropped']) {
      const [path] = await predict(
        predicting(`${name}-predicted`, [best(name)], [join(folder, 'volumes')], { batch: 3 }),
      )
      const table = await readTable(path!)
      expect(table.columns).toEqual(['image', 'probability_blob', 'probability_noise', 'predicted'])
      expect(table.rows.map(([id]) => id).sort()).toEqual(Array.from({ length: 16 }, (_, i) => `b${i}`).sort())
      expect(readdirSync(join(folder, `${name}-predicted`))).toEqual(['predictions.csv'])
    }
  })

  it('may name any number of findings an image', async () => {
    const several = join(folder, 'several.csv')
    const findings = ['a|b', 'a', '', 'b']
    writeFileSync(
      several,
      [
        'image,label,split',
        ...rows.map((row, i) => {
          const [image, , split] = row.split(',')
          return `${image},${findings[i % 4]},${split}`
        }),
      ].join('\n'),
    )
    const { said, progress } = spoken()
    const given = { data: several, epochs: 1, steps: 2, patch: '8x8x8', classWeights: 'balanced' }
    await finetune(options('several', given), progress)
    expect(said.join('\n')).toContain('a (4), b (4); any number an image')
    expect(said.join('\n')).toContain('Balanced: 2, 4, 4 training images of the classes come equally often')
  })

  const refused = (lines: string[], given: object = {}) => {
    const path = join(folder, 'refused.csv')
    writeFileSync(path, lines.join('\n'))
    return finetune(options('refused', { data: path, patch: '8x8x8', force: true, ...given })).catch((error) => error)
  }

  it('that cannot be is refused in one sentence', async () => {
    const message = async (...lines: string[]) => (await refused(lines)).message
    expect(await message('picture,label', 'a,b')).toMatch(
      /refused.csv has the columns picture, label; a list of labelled images has/,
    )
    expect(await message('image,label,colour', 'a,b,c')).toMatch(/has the columns image, label, colour;/)
    expect(await message('image,label', ',b')).toMatch(/row 2: image is empty/)
    expect(await message('image,label', 'missing.nii,b')).toMatch(/missing.nii, named by .*row 2, does not exist/)
    expect(await message('image,label', 'volumes/b0.nii.gz,')).toMatch(
      /row 2: label is empty, and each image has one class/,
    )
    const one = 'volumes/b0.nii.gz,a'
    expect(await message('image,label', one, one)).toMatch(/row 3 names "volumes\/b0.nii.gz", which row 2 has already/)
    expect(await message('image,label,split', `${one},half`)).toMatch(
      /split is "half", and takes train, validation, test/,
    )
    expect(await message('image,label')).toMatch(/lists no image/)
    const rowsOf = (...of: [number, string, string][]) => [
      'image,label,split',
      ...of.map(([i, label, split]) => `volumes/b${i}.nii.gz,${label},${split}`),
    ]
    expect(await message(...rowsOf([0, 'a', 'train'], [1, 'a', 'validation']))).toMatch(
      /Every image of .* is of class a: there is nothing/,
    )
    expect(await message(...rowsOf([0, 'a', 'train'], [1, 'b', 'validation'], [2, 'a', 'validation']))).toMatch(
      /No training image of .* is of class b: it cannot be learnt/,
    )
    expect(await message(...rowsOf([0, 'a', 'train'], [1, 'b', 'train'], [2, 'a', 'validation']))).toMatch(
      /The 1 image of .* to validate with are all of one kind/,
    )
    expect(await message(...rowsOf([0, 'a', 'train'], [1, 'b', 'train']))).toMatch(
      /2 usable images to train with and 0 to validate with/,
    )
  })

  it('is not taken where another form is meant', async () => {
    const all = ['image,label,split', ...rows]
    expect((await refused(all, { labels: '1' })).message).toMatch(/--labels is for --task segment/)
    expect((await refused(all, { task: 'segment', candidates: list })).message).toMatch(
      /--candidates is for --task classify/,
    )
    expect((await refused(all, { task: 'segment', augment: 'shifts' })).message).toMatch(
      /--augment shifts is for --task classify/,
    )
    expect((await refused(all, { data: folder })).message).toMatch(/does not say which class an image is of/)
    expect((await refused(all, { data: join(folder, 'nowhere') })).code).toBe('IO')
    const weights = [best('list')]
    const images = [join(folder, 'volumes')]
    const warned = spoken()
    const other = predict(predicting('p', [best('two')], [join(folder, 'volumes/b0.nii.gz')]), warned.progress)
    await expect(other).rejects.toThrow(/No image of .* could be classified/)
    expect(warned.said.join()).toMatch(/Left out: .*b0.nii.gz has 1 channel, and the weights take 2/)
    await expect(predict(predicting('p', weights, images, { part: 'val' }))).rejects.toThrow(/--part is for a .npz/)
    await expect(predict(predicting('p', weights, [data, ...images]))).rejects.toThrow(/goes alone/)
    await expect(predict(predicting('p', weights, images, { candidates: list }))).rejects.toThrow(
      /leave --candidates away/,
    )
  })
})

describe('an archive that cannot be', () => {
  const labels = (count: number, value = (i: number) => i % 2) => ({
    shape: [count, 1],
    data: Uint8Array.from({ length: count }, (_, i) => value(i)),
  })
  const images = (count: number, shape: readonly number[] = extents) => ({
    shape: [count, ...shape],
    data: new Uint8Array(count * shape.reduce((a, b) => a * b, 1)),
  })
  const refused = async (arrays: Parameters<typeof writeNpz>[1]) => {
    const path = join(folder, 'refused.npz')
    await writeNpz(path, arrays)
    return finetune(options('refused', { data: path, force: true })).catch((error) => error.message)
  }

  it('is refused in one sentence', async () => {
    mkdirSync(join(folder, 'refused'), { recursive: true })
    expect(await refused({ images: images(2) })).toMatch(/has no array train_images: the layout of MedMNIST has/)
    const val = { val_images: images(2), val_labels: labels(2) }
    expect(await refused({ ...val, train_images: images(2) })).toMatch(/has no array train_labels/)
    const train = { train_images: images(4), train_labels: labels(4) }
    expect(await refused(train)).toMatch(/has no array val_images/)
    expect(await refused({ ...train, ...val, train_labels: labels(3) })).toMatch(
      /train_labels is an array of 3 x 1, and 4 images have labels of 4 x 1/,
    )
    expect(await refused({ ...val, train_images: images(4, [28, 28]), train_labels: labels(4) })).toMatch(
      /array of 4 x 28 x 28, and images are volumes/,
    )
    expect(await refused({ ...val, train_images: images(4, [28, 28, 3]), train_labels: labels(4) })).toMatch(
      /images are volumes/,
    )
    const other = { val_images: images(2, [4, 4, 8]), val_labels: labels(2) }
    expect(await refused({ ...train, ...other })).toMatch(/the images of val have other extents than those of train/)
    const wide = { shape: [2, 2], data: Uint8Array.of(0, 1, 2, 0) }
    expect(await refused({ ...val, train_images: images(2), train_labels: wide, val_labels: wide })).toMatch(
      /train_labels holds 2 in row 1, and a finding is 0 or 1/,
    )
    const third = { val_images: images(2), val_labels: labels(2, (i) => 2 * i) }
    expect(await refused({ ...train, ...third })).toMatch(/No training image of .* is of class 2/)
  })
})
