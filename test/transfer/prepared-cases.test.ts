import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findCases } from '../../src/cases/cases.js'
import { evaluate } from '../../src/evaluation/index.js'
import { silent } from '../../src/progress.js'
import { prepareCases } from '../../src/transfer/prepared-cases.js'
import { readVolume, scaledValues } from '../../src/volumes/index.js'
import { evaluating } from '../evaluation/fixture.js'
import { writeBalls, writeVolumes } from './balls.js'

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
