import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findCases } from '../../src/cases/cases.js'
import { evaluate } from '../../src/evaluation/index.js'
import { silent } from '../../src/progress.js'
import { inFolds } from '../../src/transfer/folds.js'
import { prepareCases } from '../../src/transfer/prepared-cases.js'
import { readVolume, scaledValues, writeVolume } from '../../src/volumes/index.js'
import { evaluating } from '../evaluation/fixture.js'
import { affine, shape, writeBall, writeBalls, writeVolumes } from './balls.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-cases-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

it('a label file of several volumes is refused with the sentence of evaluate', async () => {
  const data = join(folder, 'one-hot')
  await writeBalls(data, 3)
  const labels = scaledValues(await readVolume(join(data, 'labels/c1.nii.gz')))
  rmSync(join(data, 'labels/c1.nii.gz'))
  const oneHot = [1, 2].map((label) => Float32Array.from(labels, (value) => (value === label ? 1 : 0)))
  await writeVolumes(join(data, 'labels/c1.nii'), oneHot)
  const warned: string[] = []
  const { cases: found } = await findCases(data)
  const { cases } = await prepareCases(
    found,
    { folder: join(folder, 'cache') },
    { ...silent, warn: (line) => warned.push(line) },
  )
  expect(cases.map(({ id }) => id)).toEqual(['c0', 'c2'])
  expect(warned).toHaveLength(1)
  expect(warned[0]).toMatch(/^Left out: .*c1.nii holds 2 volumes: a label map, .* is a file of one volume a case\. A/)

  const scores = { predictions: join(data, 'labels'), truth: data, out: join(folder, 'scores') }
  const refusal = await evaluate(evaluating(scores)).catch((error: Error) => error)
  expect((refusal as Error).message).toContain(warned[0]!.replace('Left out: ', ''))
})

it('labels in a cache of before are made anew: they may be the first volume of several', async () => {
  const data = join(folder, 'cached')
  const cache = join(folder, 'old-cache')
  await writeBalls(data, 1)
  const labelled = async () => [
    ...(await prepareCases((await findCases(data)).cases, { folder: cache })).cases[0]!.labels,
  ]
  const made = await labelled()
  const base = join(cache, readdirSync(cache).find((name) => /labels.*json$/.test(name))!)
  const spoil = (version: number) => {
    writeFileSync(base, JSON.stringify({ ...JSON.parse(readFileSync(base, 'utf8')), version }))
    writeFileSync(base.replace(/json$/, 'u8'), new Uint8Array(made.length))
  }
  spoil(JSON.parse(readFileSync(base, 'utf8')).version)
  expect(new Set(await labelled()), 'as it lies in the cache').toEqual(new Set([0]))
  spoil(1)
  expect(await labelled()).toEqual(made)
})

it('labels lie within half a voxel of the image as it is stored, however large the voxels are that it is resampled to', async () => {
  const data = join(folder, 'beside')
  await writeBalls(data, 2)
  // As evaluate refuses it: 0.8 mm from where the image's voxels of 1 x 1.5 x 1 mm lie.
  const beside = affine.map((value, i) => (i === 3 ? value + 0.8 : value))
  await writeVolume(join(data, 'labels/c1.nii.gz'), { shape, affine: beside, data: new Uint8Array(20 * 18 * 22) })
  const warned: string[] = []
  const progress = { ...silent, warn: (line: string) => warned.push(line) }
  const options = { folder: join(folder, 'beside-cache'), spacing: [2, 2, 2] as const }
  const { cases } = await prepareCases((await findCases(data)).cases, options, progress)
  expect(cases.map(({ id }) => id)).toEqual(['c0'])
  expect(warned.join()).toMatch(/c1.nii.gz lies on another grid than .*c1.nii.gz: .* corners up to 0.8 mm apart/)
})

describe('a patient’s visits, of two channels each, are in one part', () => {
  const visits = ['p01', 'p02', 'p03', 'p04'].flatMap((patient) => [`${patient}_visita`, `${patient}_visitb`])

  /** Every visit as files named by `place`, of channel 0, channel 1 and the label. */
  async function writeVisits(data: string, place: (id: string) => readonly [string, string, string]) {
    for (const [i, id] of visits.entries()) {
      const made = join(folder, 'made')
      for (const part of ['images', 'labels']) mkdirSync(join(made, part), { recursive: true })
      await writeBall(made, 'one', i)
      await writeBall(made, 'two', 100 + i)
      const files = ['images/one.nii.gz', 'images/two.nii.gz', 'labels/one.nii.gz']
      for (const [f, path] of place(id).entries()) {
        mkdirSync(dirname(join(data, path)), { recursive: true })
        renameSync(join(made, files[f]!), join(data, path))
      }
    }
    return data
  }

  const layouts = {
    'a file a channel in images/': (id: string) =>
      [`images/${id}_0000.nii.gz`, `images/${id}_0001.nii.gz`, `labels/${id}.nii.gz`] as const,
    'a folder a visit': (id: string) => [`${id}/flair.nii.gz`, `${id}/t1.nii.gz`, `${id}/seg.nii.gz`] as const,
    'a list': (id: string) => [`${id}.nii.gz`, `second/${id}.nii.gz`, `truth/${id}.nii.gz`] as const,
  }

  it.each(Object.entries(layouts))('of %s', async (name, place) => {
    const data = await writeVisits(join(folder, name.replace(/\W+/g, '-')), place)
    const list = join(data, 'list.csv')
    const rows = visits.map((id) => place(id).join(','))
    if (name === 'a list') writeFileSync(list, `image1,image2,label\n${rows.join('\n')}\n`)
    const { cases: found } = await findCases(name === 'a list' ? list : data)
    expect(found.map(({ id, images }) => [id, images.length])).toEqual(visits.map((id) => [id, 2]))
    const partsOf = (cases: readonly { readonly id: string; readonly split: string }[]) =>
      visits.map((visit) => cases.find(({ id }) => id === visit)!.split)
    const together = (parts: readonly string[]) => parts.every((part, i) => i % 2 === 0 || part === parts[i - 1])
    for (const seed of [0, 1, 2, 3]) {
      const { cases } = await prepareCases(found, { folder: join(data, 'cache'), split: [0.5, 0.25, 0.25], seed })
      expect(partsOf(cases), `seed ${seed}`).toSatisfy(together)
      expect(new Set(partsOf(cases))).toEqual(new Set(['train', 'validation', 'test']))
      for (const fold of [1, 2]) {
        const folded = inFolds(cases, ({ channels }) => channels[0]!.patient, { folds: 2, fold, seed })
        expect(partsOf(folded), `seed ${seed}, fold ${fold}`).toSatisfy(together)
      }
    }
  })
})
