import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evaluate } from '../../src/evaluation/index.js'
import type { SegmentationResult } from '../../src/evaluation/segmentation.js'
import { Random } from '../../src/random.js'
import { writeVolume } from '../../src/volumes/index.js'
import { evaluating, listening } from './fixture.js'
import { blobs } from './masks.js'
import { ask, lacking } from './oracle.js'

const shape = [18, 16, 12] as const
const voxels = shape[0] * shape[1] * shape[2]
const affine = [0.8, 0, 0, -3, 0, 0.8, 0, 7, 0, 0, 2.2, 11, 0, 0, 0, 1]
/** The same grid stored in another order: x runs to the left and is the last axis. */
const turned = {
  shape: [12, 16, 18] as const,
  affine: [0, 0, -0.8, -3 + 0.8 * 17, 0, 0.8, 0, 7, 2.2, 0, 0, 11, 0, 0, 0, 1],
}

const labelsOf = (seed: number): Uint8Array => {
  const [one, two] = [blobs(shape, seed, 2), blobs(shape, seed + 50, 1)]
  return one.map((inside, i) => (two[i] ? 2 : inside))
}
/** A share of the voxels is another label's. */
const relabel = (labels: Uint8Array, from: number, to: number): void => {
  for (const [at, label] of labels.entries()) if (label === from) labels[at] = to
}
const spoilt = (labels: Uint8Array, share: number, seed: number): Uint8Array => {
  const random = new Random(seed, 'test/spoil')
  return labels.map((label) => (random.chance(share) ? random.integer(0, 3) : label))
}

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-evaluate-'))
  for (const part of ['task/images', 'task/labels', 'predicted', 'odd'])
    mkdirSync(join(folder, part), { recursive: true })
  for (let i = 0; i < 6; i++) {
    const truth = labelsOf(i)
    const prediction = spoilt(truth, 0.02 + 0.03 * i, i)
    if (i === 3) prediction.fill(0)
    if (i === 4) relabel(truth, 2, 0)
    if (i === 5) for (const of of [truth, prediction]) relabel(of, 2, 1)
    const image = Float32Array.from(truth, (label, at) => label + 0.3 * Math.sin(at))
    await writeVolume(join(folder, `task/images/c${i}.nii.gz`), { shape, affine, data: image })
    await writeVolume(join(folder, `task/labels/c${i}.nii.gz`), { shape, affine, data: truth })
    await writeVolume(join(folder, `predicted/c${i}.nii.gz`), { shape, affine, data: prediction })
  }
  // One prediction lies in the file the other way round.
  const stored = new Uint8Array(voxels)
  const first = spoilt(labelsOf(1), 0.05, 1)
  for (let x = 0, i = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++) stored[(z * 16 + y) * 18 + 17 - x] = first[i++]!
  await writeVolume(join(folder, 'predicted/c1.nii.gz'), { ...turned, data: stored })
  const probability = spoiltProbabilities(labelsOf(0))
  await writeVolume(join(folder, 'predicted/c0-label-1.nii.gz'), { shape, affine, data: probability })
})
afterAll(() => rmSync(folder, { recursive: true }))

const spoiltProbabilities = (labels: Uint8Array): Float32Array => {
  const random = new Random(9, 'test/probabilities')
  return Float32Array.from(labels, (label) =>
    Math.min(1, Math.max(0, (label === 1 ? 0.8 : 0.2) + 0.2 * random.normal())),
  )
}

const run = async (given: object, out: string) => {
  const { lines, progress } = listening()
  const options = evaluating({
    predictions: join(folder, 'predicted'),
    truth: join(folder, 'task'),
    out: join(folder, out),
    ...given,
  })
  const { result, page } = await evaluate(options, progress)
  return { result: result as SegmentationResult, page, lines }
}

const absent = lacking('an evaluation against NumPy, SciPy and nibabel', 'numpy', 'scipy.ndimage', 'nibabel')

const reference = `
import nibabel, numpy as np, os
from scipy import ndimage
answer = {}
for i in range(6):
    read = lambda path: np.asarray(nibabel.as_closest_canonical(nibabel.load(os.path.join(asked, path))).dataobj)
    truth, prediction = read(f'task/labels/c{i}.nii.gz'), read(f'predicted/c{i}.nii.gz')
    answer[f'c{i}'] = {}
    for label in (1, 2):
        t, p = truth == label, prediction == label
        if not t.any() and not p.any():
            answer[f'c{i}'][f'label {label}'] = {'state': 'both empty'}
            continue
        known = os.path.join(asked, f'predicted/c{i}-label-{label}.nii.gz')
        soft = read(f'predicted/c{i}-label-{label}.nii.gz') if os.path.exists(known) else p.astype(float)
        legacy = np.mean([np.mean([(a & b).sum() / (a | b).sum() for a, b in ((t, soft > s), (~t, ~(soft > s)))])
                          for s in np.arange(0.5, 1, 0.05)])
        figures = {'dice': 2 * (t & p).sum() / (t.sum() + p.sum()), 'iou': (t & p).sum() / (t | p).sum(), 'legacyMeanIoU': legacy}
        if t.any() and p.any():
            e = [m & ~ndimage.binary_erosion(m) for m in (t, p)]
            d = [ndimage.distance_transform_edt(~b, sampling=(0.8, 0.8, 2.2))[a] for a, b in (e, e[::-1])]
            figures |= {'state': 'compared', 'hausdorff95': max(np.quantile(x, 0.95) for x in d),
                        'surfaceDice': sum((x <= 1.7).sum() for x in d) / sum(len(x) for x in d)}
        else:
            figures |= {'state': 'prediction empty' if t.any() else 'truth empty', 'surfaceDice': 0,
                        'hausdorff95': np.linalg.norm(np.array([18, 16, 12]) * [0.8, 0.8, 2.2])}
        answer[f'c{i}'][f'label {label}'] = {k: v if k == 'state' else float(v) for k, v in figures.items()}
`

describe('evaluating label maps', () => {
  it.skipIf(absent)('gives the figures that NumPy, SciPy and nibabel give, case by case', async () => {
    const { result } = await run({ tolerance: '1.7' }, 'against')
    const told = ask<Record<string, Record<string, Record<string, number | string>>>>(reference, folder)
    const states = new Set<string>()
    for (const { id, outputs } of result.cases)
      for (const [output, figures] of Object.entries(outputs)) {
        const wanted = told[id]![output]!
        states.add(figures.state)
        for (const [key, value] of Object.entries(wanted)) {
          const found = figures[key as 'dice']
          // Squared distances are rounded to float32, affines and probabilities are stored in it.
          if (typeof value === 'number') expect(found, `${id} ${output} ${key}`).toBeCloseTo(value, 5)
          else expect(found).toBe(value)
        }
        expect(Object.keys(figures)).toHaveLength(Object.keys(wanted).length + 2)
      }
    expect(states.size).toBe(4)
  })

  it('sums over cases, and says how many are in which state', async () => {
    const { result } = await run({}, 'sums')
    const { figures, states, pooled } = result.outputs['label 2']!
    expect(states).toEqual({ compared: 3, 'truth empty': 1, 'prediction empty': 1, 'both empty': 1 })
    const dices = result.cases.flatMap(({ outputs }) => outputs['label 2']!.dice ?? [])
    expect(figures.dice).toMatchObject({ count: 5, min: 0 })
    expect(figures.dice!.mean).toBeCloseTo(dices.reduce((sum, dice) => sum + dice, 0) / 5, 12)
    expect(pooled.dice).toBeGreaterThan(0)
    expect(pooled.legacyMeanIoU).toBeGreaterThan(pooled.iou!)
    expect(result.mean.dice!.count).toBe(6)
    expect(result.cases[5]!.mean.dice).toBe(result.cases[5]!.outputs['label 1']!.dice)
    expect(JSON.stringify(result)).not.toMatch(/null,"(dice|iou)|NaN/)
  })

  it('writes JSON, a row for every output of every case, and a page with three overlays', async () => {
    const { result, page } = await run({}, 'written')
    expect(readdirSync(join(folder, 'written')).sort()).toEqual(['cases.csv', 'evaluation.html', 'evaluation.json'])
    expect(JSON.parse(readFileSync(join(folder, 'written/evaluation.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(result)),
    )
    expect(readFileSync(join(folder, 'written/cases.csv'), 'utf8').trim().split('\n')).toHaveLength(1 + 6 * 2)
    const text = readFileSync(page, 'utf8').replaceAll(/base64,[^"]+/g, 'base64,')
    expect(text.match(/<img /g)).toHaveLength(9)
    expect(text).toMatch(/Best: <bdi>c0/)
    expect(text).toMatch(/Worst: <bdi>c3/)
    expect(text).not.toMatch(/NaN|undefined|The image is not shown/)
  })

  it('repeats itself to the byte, and replaces nothing unasked', async () => {
    await run({}, 'once')
    const files = ['cases.csv', 'evaluation.html', 'evaluation.json'].map((name) => join(folder, 'once', name))
    const before = files.map((file) => readFileSync(file, 'utf8'))
    await expect(run({}, 'once')).rejects.toMatchObject({
      code: 'BAD_OPTION',
      message: expect.stringContaining('--force replaces it'),
    })
    await run({ force: true }, 'once')
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(before)
  })

  it('compares groups, numbered in the predictions as predict numbers them', async () => {
    const { result } = await run({ labels: 'whole=1,2;core=2', predictedLabels: 'whole=1,2;core=2' }, 'groups')
    expect(Object.keys(result.outputs)).toEqual(['whole', 'core'])
    const single = await run({ labels: '2' }, 'single')
    expect(single.result.outputs['label 2']!.figures).toEqual(result.outputs.core!.figures)
  })

  it('takes a map of probabilities where there is one output', async () => {
    mkdirSync(join(folder, 'soft'))
    const data = spoiltProbabilities(labelsOf(0))
    await writeVolume(join(folder, 'soft/c0.nii.gz'), { shape, affine, data })
    const given = { predictions: join(folder, 'soft'), missing: 'skip' }
    const { result } = await run({ ...given, labels: '1' }, 'soft-out')
    const truth = labelsOf(0)
    const both = truth.filter((label, i) => label === 1 && data[i]! > 0.5).length
    const sizes = truth.filter((label) => label === 1).length + data.filter((p) => p > 0.5).length
    expect(result.cases[0]!.outputs['label 1']!.dice).toBeCloseTo((2 * both) / sizes, 12)
    await expect(run(given, 'soft-none')).rejects.toThrow('can be compared where --labels names a single output')
    await expect(run({ ...given, missing: 'error' }, 'soft-all')).rejects.toThrow(/5 of 6 cases .* have no prediction/)
  })
})

describe('cases that cannot be compared', () => {
  it('are refused in one sentence that says how to go on', async () => {
    mkdirSync(join(folder, 'few'))
    await writeVolume(join(folder, 'few/c2.nii.gz'), { shape, affine, data: labelsOf(2) })
    await expect(run({ predictions: join(folder, 'few') }, 'few-out')).rejects.toMatchObject({
      code: 'NO_DATA',
      message: expect.stringMatching(/5 of 6 cases .* the first is c0\. --missing skip .* --missing empty/),
    })
    expect(existsSync(join(folder, 'few-out'))).toBe(false)
  })

  it('are left out, or taken for empty, and told', async () => {
    const skipped = await run({ predictions: join(folder, 'few'), missing: 'skip' }, 'few-skip')
    expect(skipped.result.cases.map(({ id }) => id)).toEqual(['c2'])
    expect(skipped.result.mean.dice!.mean).toBe(1)
    expect(skipped.result.skipped).toHaveLength(5)
    expect(skipped.lines.join()).toContain('Left out: 5 cases; the first: c0 has no prediction.')
    const empty = await run({ predictions: join(folder, 'few'), missing: 'empty' }, 'few-empty')
    expect(empty.result.mean.dice!.mean).toBeCloseTo(1 / 6, 12)
    expect(empty.result.cases[0]).toMatchObject({ prediction: null, note: 'c0 has no prediction.' })
    expect(empty.lines.join()).toContain('5 cases count as predicted empty')
  })

  it.each([
    ['another number of voxels', { shape: [18, 16, 11] as const, affine }, labelsOf(0).subarray(0, 18 * 16 * 11)],
    ['another place', { shape, affine: affine.map((v, i) => (i === 3 ? v + 0.6 : v)) }, labelsOf(0)],
    ['another size', { shape, affine: affine.map((v, i) => (i === 10 ? 2.4 : v)) }, labelsOf(0)],
  ])('lie on another grid: %s', async (name, grid, data) => {
    const from = join(folder, 'odd', name.replaceAll(' ', '-'))
    mkdirSync(from)
    for (let i = 0; i < 6; i++) await writeVolume(join(from, `c${i}.nii.gz`), { ...grid, data })
    await expect(run({ predictions: from }, `${name}-out`)).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(
        /c0\.nii\.gz .* another grid than .*: corners are up to [\d.]+ mm apart\. --missing/,
      ),
    })
    await expect(run({ predictions: from, missing: 'skip' }, `${name}-skip`)).rejects.toMatchObject({ code: 'NO_DATA' })
  })

  it('hold what no label map holds, or are cut short', async () => {
    const from = join(folder, 'odd/values')
    mkdirSync(from)
    const good = { shape, affine, data: Float32Array.from(labelsOf(0)) }
    for (let i = 0; i < 6; i++) await writeVolume(join(from, `c${i}.nii.gz`), good)
    await writeVolume(join(from, 'c1.nii.gz'), { ...good, data: good.data.map((v) => v * 1.5) })
    await writeVolume(join(from, 'c2.nii.gz'), { ...good, data: good.data.map((v, i) => (i === 7 ? Number.NaN : v)) })
    writeFileSync(join(from, 'c3.nii.gz'), readFileSync(join(from, 'c0.nii.gz')).subarray(0, 200))
    await expect(run({ predictions: from }, 'values-out')).rejects.toThrow(/c1\.nii\.gz is no label map: it holds 1\.5/)
    const { result } = await run({ predictions: from, missing: 'skip' }, 'values-skip')
    expect(result.skipped.map(({ id }) => id)).toEqual(['c1', 'c2', 'c3'])
    expect(result.skipped[1]!.reason).toContain('it holds NaN')
  })

  it('have no truth: they are told', async () => {
    const from = join(folder, 'odd/more')
    mkdirSync(from)
    for (let i = 0; i < 7; i++) await writeVolume(join(from, `c${i}.nii.gz`), { shape, affine, data: labelsOf(i) })
    await writeVolume(join(from, 'c0-liver.nii.gz'), { shape, affine, data: labelsOf(0) })
    const { result, lines } = await run({ predictions: from }, 'more-out')
    expect(result.unmatched.map((path) => path.slice(from.length + 1))).toEqual(['c6.nii.gz', 'c0-liver.nii.gz'])
    expect(lines.join()).toContain('Left out: 2 predictions without a truth; the first:')
  })
})

describe('sources', () => {
  it('may be lists', async () => {
    writeFileSync(join(folder, 'truth.csv'), 'id,label\none,task/labels/c0.nii.gz\ntwo,task/labels/c2.nii.gz\n')
    writeFileSync(join(folder, 'predictions.csv'), 'id,path\ntwo,predicted/c2.nii.gz\none,predicted/c0.nii.gz\n')
    const lists = { truth: join(folder, 'truth.csv'), predictions: join(folder, 'predictions.csv') }
    const { result } = await run(lists, 'lists')
    const whole = await run({}, 'whole')
    expect(result.cases.map(({ id }) => id)).toEqual(['one', 'two'])
    expect(result.cases[1]!.outputs).toEqual(whole.result.cases[2]!.outputs)
  })

  it.each([
    ['a column that is not there', 'id,mask\none,task/labels/c0.nii.gz\n', 'none of them is label or truth or path'],
    ['a file that is not there', 'id,label\none,task/labels/c9.nii.gz\n', 'c9.nii.gz, named by'],
    ['a case twice', 'id,label\na,task/labels/c0.nii.gz\na,task/labels/c1.nii.gz\n', 'two files of the case "a"'],
    ['a ragged row', 'id,label\na\n', 'could not be read as a table'],
    ['no rows', 'id,label\n', 'names no files'],
  ])('with %s are refused', async (_, text, sentence) => {
    const truth = join(folder, 'odd.csv')
    writeFileSync(truth, text)
    await expect(run({ truth }, 'odd-out')).rejects.toThrow(sentence)
  })

  it.each([
    ['options of another task', { scans: 'x.csv' }, '--scans goes with --task detect'],
    [
      'outputs that do not go together',
      { labels: 'a=1;b=2', predictedLabels: 'a=1' },
      'must name the outputs of --labels',
    ],
    ['a folder that is not there', { truth: 'nowhere' }, 'nowhere does not exist'],
  ])('with %s are refused', async (_, given, sentence) => {
    await expect(run(given, 'bad-out')).rejects.toThrow(sentence)
  })
})
