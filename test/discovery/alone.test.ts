import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { commandLineLayer, type DiscoverOptions, discoverOptions, resolveOptions } from '../../src/config/index.js'
import { discoverCohort } from '../../src/discovery/index.js'
import { makePhantoms } from '../../src/phantom/index.js'
import { type Progress, silent } from '../../src/progress.js'
import { newFolder } from './fixture.js'

const folder = newFolder()
afterAll(() => rmSync(folder, { recursive: true }))

const [scans, fewer, out] = [join(folder, 'scans/images'), join(folder, 'fewer/images'), join(folder, 'patterns')]
beforeAll(async () => {
  await makePhantoms({ out: join(folder, 'scans'), count: 4, size: [48, 48, 40] })
  await makePhantoms({ out: join(folder, 'fewer'), count: 3, size: [48, 48, 40] })
  await discovered({})
})

/** Discovers as the command line does, quickly. */
const discovered = (given: Partial<DiscoverOptions>, progress = silent, signal?: AbortSignal) =>
  discoverCohort(
    resolveOptions(
      discoverOptions,
      commandLineLayer(discoverOptions, {
        ...{ source: [scans], out, device: 'cpu', threads: 1, classes: 2 },
        ...{ embeddingWidth: 2, embeddingInput: [16, 16, 16], embeddingEpochs: 1 },
        ...given,
      }),
    ),
    progress,
    signal,
  )

const read = (name: string) => readFileSync(join(out, name), 'utf8')

test.each<[string, Partial<DiscoverOptions>, RegExp]>([
  ['scans', { source: [fewer] }, /^The scans: \["\S*fewer\/images"\] now, but the run was begun with \["/],
  ['scans that are not there', { source: ['/nonexistent'] }, /^The scans: \["\/nonexistent"\] now/],
  ['a modality', { modality: 'mr' }, /^--modality: "mr" now, but the run was begun with "auto"/],
  ['a split', { split: [0.5, 0.5, 0] }, /^--split: \[0.5,0.5,0\] now, but the run was begun with \[0.8,0.2,0\]/],
  ['a voxel size', { spacing: [4, 4, 4] }, /^--spacing: \[4,4,4\] now, but the run was begun with "none"/],
])('a resumed discovery refuses other %s, and leaves everything as it was', async (_, other, sentence) => {
  const before = readdirSync(out).map((name) => [name, name.includes('.') && read(name)])
  await expect(discovered({ resume: true, ...other })).rejects.toMatchObject({
    code: 'BAD_OPTION',
    message: expect.stringMatching(sentence),
  })
  expect(readdirSync(out).map((name) => [name, name.includes('.') && read(name)])).toEqual(before)
})

test('what is not given again is kept, and the patterns are the same', async () => {
  const before = read('patterns.json')
  await discovered({ resume: true, classes: undefined, embeddingInput: undefined })
  expect(read('patterns.json')).toBe(before)
})

test('a cohort.json whose options are not known is not trusted: the scans are inspected again', async () => {
  const known = read('cohort.json')
  const cohort = JSON.parse(known)
  writeFileSync(join(out, 'cohort.json'), JSON.stringify({ ...cohort, notes: ['of other options'] }))
  rmSync(join(out, 'discovery.json'))
  await discovered({ resume: true })
  expect(read('cohort.json')).toBe(known)
  expect(existsSync(join(out, 'discovery.json'))).toBe(true)
})

test('a damaged discovery.json is refused in one sentence', async () => {
  const whole = read('discovery.json')
  writeFileSync(join(out, 'discovery.json'), '{"version":1,"options":{"seed":-1}}')
  await expect(discovered({ resume: true })).rejects.toMatchObject({
    code: 'BAD_FILE',
    message: expect.stringMatching(
      /discovery\.json cannot be gone on with: options\.source.*; begin anew with --force\.$/,
    ),
  })
  writeFileSync(join(out, 'discovery.json'), whole)
})

test('what replaces a discovery leaves its own options', async () => {
  await discovered({ force: true, seed: 5 })
  expect(JSON.parse(read('discovery.json'))).toMatchObject({ version: 1, options: { seed: 5, source: [scans] } })
  await expect(discovered({ resume: true, seed: 6 })).rejects.toThrow(/^--seed: 6 now, but the run was begun with 5/)
})

test('a discovery that is replaced and stopped leaves no patterns of the one before', async () => {
  const stop = new AbortController()
  const progress: Progress = {
    ...silent,
    begin(...[name, ...rest]) {
      if (!/^(Inspect|Prepar)/.test(name)) stop.abort()
      return silent.begin(name, ...rest)
    },
  }
  expect(existsSync(join(out, 'patterns.json'))).toBe(true)
  await expect(discovered({ force: true, seed: 7 }, progress, stop.signal)).rejects.toThrow(/aborted|stopped/)
  expect(['patterns.json', 'montages'].filter((name) => existsSync(join(out, name)))).toEqual([])
  expect(JSON.parse(read('discovery.json'))).toMatchObject({ options: { seed: 7 } })
})
