import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findCases } from '../../src/cases/cases.js'
import { commandLineLayer, finetuneOptions, predictOptions, resolveOptions } from '../../src/config/index.js'
import { evaluate } from '../../src/evaluation/index.js'
import { labelsOf, openVolume } from '../../src/evaluation/label-map.js'
import type { SegmentationResult } from '../../src/evaluation/segmentation.js'
import type { Extents } from '../../src/extents.js'
import { finetune } from '../../src/transfer/finetune.js'
import { predict } from '../../src/transfer/predict.js'
import { prepareCases } from '../../src/transfer/prepared-cases.js'
import { evaluating } from '../evaluation/fixture.js'
import { affine as straight, writeBalls } from './balls.js'

/** Turned by 25 and 15 degrees, with voxels of 1.3 x 0.9 x 1.7 mm that are stored along y, against x, and against z. */
const oblique = (() => {
  const [a, b] = [(25 * Math.PI) / 180, (15 * Math.PI) / 180]
  const [c, s, d, t] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)]
  const columns = [
    [-s * d, c * d, t].map((value) => 1.3 * value),
    [c, s, 0].map((value) => -0.9 * value),
    [s * t, -c * t, d].map((value) => -1.7 * value),
  ]
  return [...[11, -40, 25].flatMap((origin, row) => [...columns.map((column) => column[row]!), origin]), 0, 0, 0, 1]
})()

const split = { train: ['c0', 'c1', 'c2', 'c3'], validation: ['c4'], test: ['c5', 'c6'] }
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-test-part-'))
  for (const [name, lies] of Object.entries({ straight, oblique })) {
    await writeBalls(join(folder, name), 7, lies)
    writeFileSync(join(folder, name, 'split.json'), JSON.stringify(split))
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const small = { baseWidth: 4, depth: 2, patch: '8x8x8', batch: 2, threads: 1, device: 'cpu', precision: 'fp32' }

/** What a short fine-tuning says of its test part in result.json, and a function that predicts and evaluates the same. */
async function tested(data: string, out: string, given: object) {
  const overlap = 0.4
  const asked = { ...small, data, out, overlap, epochs: 3, steps: 12, learningRate: 0.01, ...given }
  await finetune(resolveOptions(finetuneOptions, commandLineLayer(finetuneOptions, asked)))
  const predicted = join(out, 'predicted')
  const images = split.test.map((id) => join(data, `images/${id}.nii.gz`))
  const layer = { images, weights: out, out: predicted, overlap, threads: 1, device: 'cpu', probabilities: true }
  await predict(resolveOptions(predictOptions, commandLineLayer(predictOptions, layer)))
  /** @param ending of the files that are evaluated */
  const evaluated = async (ending: string, labels: string, predictedLabels: string) => {
    const list = join(out, 'predicted.csv')
    writeFileSync(
      list,
      ['id,path', ...split.test.map((id) => `${id},${join(predicted, `${id}${ending}.nii.gz`)}`), ''].join('\n'),
    )
    const scores = { predictions: list, truth: data, out: join(out, 'scores'), missing: 'skip', force: true }
    const { result } = await evaluate(evaluating({ ...scores, labels, predictedLabels }))
    const { outputs, cases } = result as SegmentationResult
    expect(cases).toHaveLength(2)
    return Object.values(outputs)[0]!.figures.dice!.mean
  }
  const { test } = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')) as {
    test: { cases: number; dice: number; byOutput: Record<string, number> }
  }
  return { test, evaluated }
}

describe.each([
  ['an image that lies straight, resampled to large voxels', 'straight', '2x2.5x2'],
  ['an oblique, anisotropic image, resampled to large voxels', 'oblique', '2x2x2'],
  ['an oblique, anisotropic image, resampled to smaller voxels along some axes', 'oblique', '2x0.7x1.1'],
  ['an oblique image as it is stored', 'oblique', undefined],
])('the test Dice of %s', (name, data, spacing) => {
  const out = (task: string) => join(folder, `${task} ${name}`.replace(/\W+/g, '-'))

  it('is what evaluate says of the label maps that predict writes', async () => {
    const { test, evaluated } = await tested(join(folder, data), out('one'), { spacing, labels: 'ball=1,2' })
    expect(test).toMatchObject({ cases: 2 })
    // Neither of nothing nor of a network that cannot err.
    expect(test.dice).toBeGreaterThan(0.2)
    expect(test.dice).toBeLessThan(0.995)
    expect(test.byOutput.ball).toBeCloseTo(await evaluated('', 'ball=1,2', 'ball=1'), 12)
    expect(test.dice).toBeCloseTo(test.byOutput.ball!, 12)
  })

  it('is, of each of several outputs, what evaluate says of its probabilities', async () => {
    const { test, evaluated } = await tested(join(folder, data), out('two'), { spacing })
    expect(Object.keys(test.byOutput)).toEqual(['label 1', 'label 2'])
    for (const label of ['1', '2'])
      expect(test.byOutput[`label ${label}`]).toBeCloseTo(await evaluated(`-label-${label}`, label, label), 12)
  })
})

it('only the test part is compared on the images’ own grids, and nothing is made for it where no image is resampled', async () => {
  const data = join(folder, 'oblique')
  const { cases: found } = await findCases(data)
  const prepared = async (cache: string, spacing?: Extents) =>
    (await prepareCases(found, { folder: join(folder, cache), spacing })).cases
  for (const { labels, truth, channels } of await prepared('stored')) {
    expect(truth.labels).toBe(labels)
    expect(truth.shape).toEqual(channels[0]!.shape)
  }
  for (const { id, split: part, labels, truth, channels } of await prepared('resampled', [2, 2, 2])) {
    if (part !== 'test') expect(truth).toEqual({ labels, shape: channels[0]!.shape })
    else {
      const file = await openVolume(join(data, `labels/${id}.nii.gz`))
      expect(truth.shape).toEqual(file.shape)
      expect(Buffer.compare(truth.labels, labelsOf(file))).toBe(0)
    }
  }
})
