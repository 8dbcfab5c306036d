import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findCases } from '../../src/cases/cases.js'
import { segmentationOutputs } from '../../src/cases/outputs.js'
import { projectRoot } from '../../src/engine/addon.js'
import { inFolds } from '../../src/transfer/folds.js'
import { prepareCases } from '../../src/transfer/prepared-cases.js'
import type { SplitName } from '../../src/volumes/index.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-cases-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Empty files: cases are found by names alone. */
function tree(name: string, paths: readonly string[]): string {
  for (const path of paths) {
    mkdirSync(join(folder, name, path, '..'), { recursive: true })
    writeFileSync(join(folder, name, path), '')
  }
  return join(folder, name)
}

describe('a folder for every case', () => {
  const files = ['p1', 'p2', 'p3'].flatMap((id) =>
    ['flair', 't1', 't1ce', 'seg'].map((kind) => `${id}/${id}_${kind}.nii.gz`),
  )

  it('has its channels by name, and a label map', async () => {
    const data = tree('brats', files)
    const { cases, notes } = await findCases(data)
    expect(cases.map(({ id, patient }) => [id, patient])).toEqual([
      ['p1', 'p1'],
      ['p2', 'p2'],
      ['p3', 'p3'],
    ])
    expect(cases[0]!.images.map((path) => relative(data, path))).toEqual([
      'p1/p1_flair.nii.gz',
      'p1/p1_t1.nii.gz',
      'p1/p1_t1ce.nii.gz',
    ])
    expect(relative(data, cases[0]!.label)).toBe('p1/p1_seg.nii.gz')
    expect(notes).toEqual(['Channels of each case: flair, t1, t1ce.'])
  })

  it('gives the channels that are asked for, in that order', async () => {
    const data = tree('chosen', files)
    const { cases } = await findCases(data, ['t1ce', 'fl'])
    expect(cases[0]!.channels).toEqual(['t1ce', 'flair'])
    expect(cases[1]!.images.map((path) => relative(data, path))).toEqual(['p2/p2_t1ce.nii.gz', 'p2/p2_flair.nii.gz'])
    // t1 is a whole name, and so does not mean t1ce, too.
    expect((await findCases(data, ['t1'])).cases[0]!.channels).toEqual(['t1'])
    await expect(findCases(data, ['t2'])).rejects.toThrow(/"t2" names none of the channels .*\(flair, t1, t1ce\)/)
    await expect(findCases(data, ['t'])).rejects.toThrow(/"t" names several/)
  })

  it('uses the channels that all have, goes by split.json, and tells of cases without a label map', async () => {
    const data = tree('uneven', [...files.filter((path) => path !== 'p3/p3_t1.nii.gz'), 'p4/p4_flair.nii.gz'])
    writeFileSync(join(data, 'split.json'), JSON.stringify({ train: ['p1', 'p2'], test: ['p3'] }))
    const { cases, unpaired } = await findCases(data)
    expect(cases.map(({ channels, split }) => [channels, split])).toEqual([
      [['flair', 't1ce'], 'train'],
      [['flair', 't1ce'], 'train'],
      [['flair', 't1ce'], 'test'],
    ])
    expect(unpaired).toEqual([`${join(data, 'p4')} has no label map.`])
  })

  const data = join(projectRoot(), '../shared/data/brats2013-deepmedic')
  // Skipped aloud by name where the data is not beside the project.
  it.skipIf(!existsSync(data))('is read from BraTS as DeepMedic stores it (../shared/data)', async () => {
    const { cases } = await findCases(data, ['flair'])
    expect(cases.map(({ id, split }) => [id, split])).toEqual([
      ['brats_2013_pat0003_1', 'validation'],
      ['brats_2013_pat0005_1', 'train'],
      ['brats_2013_pat0006_1', 'train'],
    ])
    const { cases: prepared } = await prepareCases(cases.slice(0, 1), { folder: join(folder, 'brats-cache') })
    // The README of the data: 240 x 240 x 155 voxels, labels 0 to 4.
    expect(prepared[0]!.channels.map(({ shape }) => shape)).toEqual([[240, 240, 155]])
    expect([...prepared[0]!.counts.keys()].every((label) => label <= 4)).toBe(true)
    expect([...prepared[0]!.counts.values()].reduce((sum, count) => sum + count)).toBe(240 * 240 * 155)
  })
})

describe('volumes beside their segmentations', () => {
  const named = (numbers: readonly number[], at = (_: number) => '') =>
    numbers.flatMap((n) => [`${at(n)}volume-${n}.nii`, `${at(n)}segmentation-${n}.nii`])

  it('are split as published where all parts are there', async () => {
    const batches = named([3, 99, 100, 114, 115, 130], (n) => `batch ${n > 27 ? 2 : 1}/`)
    const { cases } = await findCases(tree('lits', [...batches, 'batch 1/volume-7.nii']))
    expect(cases.map(({ id, split }) => `${id} ${split}`)).toEqual([
      'volume-3 train',
      'volume-99 train',
      'volume-100 validation',
      'volume-114 validation',
      'volume-115 test',
      'volume-130 train',
    ])
  })

  it('are split as anything else where some are missing, which is told', async () => {
    const data = tree('some', [...named([0, 1, 2]), 'volume-4.nii', 'segmentation-5.nii'])
    const { cases, unpaired } = await findCases(data)
    expect(cases.map(({ split }) => split)).toEqual([undefined, undefined, undefined])
    expect(unpaired).toHaveLength(2)
    await expect(findCases(data, ['flair'])).rejects.toThrow(
      /--channels chooses among the files of a case’s own folder/,
    )
  })
})

describe('folds', () => {
  const cases = Array.from({ length: 11 }, (_, i) => ({
    patient: `p${i >> 1}`,
    split: (i === 10 ? 'test' : 'train') as SplitName,
  }))

  it('hold every patient out once, with all of its cases, and leave the test part alone', () => {
    const times = cases.map(() => 0)
    for (const fold of [1, 2, 3]) {
      const drawn = inFolds(cases, ({ patient }) => patient, { folds: 3, fold, seed: 5 })
      for (const [i, { split }] of drawn.entries()) if (split === 'validation') times[i]!++
      expect(drawn[10]!.split).toBe('test')
      for (let i = 0; i < 10; i += 2) expect(drawn[i]!.split).toBe(drawn[i + 1]!.split)
    }
    expect(times).toEqual([...Array<number>(10).fill(1), 0])
  })
})

describe('ranges of labels', () => {
  it('take what occurs', () => {
    expect(segmentationOutputs('whole=1-4;core=1,4', [1, 2, 4])).toEqual([
      { name: 'whole', labels: [1, 2, 4] },
      { name: 'core', labels: [1, 4] },
    ])
    expect(() => segmentationOutputs('whole=5-9', [1, 2, 4])).toThrow(/no label of whole is in a training case/)
    expect(() => segmentationOutputs('whole=4-1', [1, 2, 4])).toThrow(/--labels takes labels from 1 to 255/)
  })
})
