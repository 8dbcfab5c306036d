import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkPatterns, type PatternSet, readPatterns, writePatterns } from '../../src/discovery/index.js'
import { newFolder } from './fixture.js'

const crop = (scan: string, start: [number, number, number], split: 'train' | 'validation' = 'train') =>
  ({ scan, start, size: [8, 8, 4], split, resolution: 0 }) as PatternSet['classes'][number]['crops'][number]

const patterns: PatternSet = {
  version: 1,
  seed: 7,
  patch: [8, 8, 4],
  frame: 'body',
  millimetres: [16, 16, 10],
  scans: [
    { id: 'a', shape: [20, 20, 10] },
    { id: 'b "quoted"', shape: [30, 20, 10] },
  ],
  classes: [
    {
      reference: 'a',
      coordinate: [0.25, 0.5, 0.75],
      crops: [crop('a', [0, 0, 0]), crop('b "quoted"', [22, 12, 6], 'validation')],
    },
    { reference: 'a', coordinate: [0.5, 0.5, 0.5], crops: [crop('a', [-2, 0, 7])] },
  ],
  embedding: {
    network: { kind: 'auto-encoder' },
    latent: 64,
    epochs: 3,
    bestEpoch: 2,
    loss: 0.01,
    nearest: [{ scan: 'a', neighbours: [{ scan: 'b "quoted"', distance: 1.5 }] }],
  },
  notes: ['Patterns: 2.'],
}
const scans = patterns.scans.map((scan) => ({ ...scan, split: scan.id === 'a' ? 'train' : 'validation' }))

test('what is written is read again, whole', async () => {
  const path = join(newFolder(), 'patterns.json')
  await writePatterns(path, patterns)
  expect(await readPatterns(path)).toEqual(patterns)
  expect(() => checkPatterns(path, patterns, scans)).not.toThrow()
  // One crop a line, for people and for diffs.
  expect(
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.includes('"resolution"')),
  ).toHaveLength(3)
})

test.each([
  ['version', { ...patterns, version: 2 }, /version 2 and this program reads version 1/],
  ['another key', { ...patterns, extra: 1 }, /is no pattern set: Unrecognized key/],
  ['no classes', { ...patterns, classes: [] }, /classes: Too small/],
  ['a huge box', { ...patterns, patch: [1e6, 8, 8] }, /patch\.0/],
  ['no numbers', { ...patterns, seed: 'x' }, /seed/],
  ['not an object', [], /is no pattern set/],
  ['null', null, /is no pattern set/],
])('%s is refused in one sentence', async (_, content, message) => {
  const path = join(newFolder(), 'patterns.json')
  writeFileSync(path, JSON.stringify(content))
  await expect(readPatterns(path)).rejects.toMatchObject({ code: 'BAD_FILE', message: expect.stringMatching(message) })
})

test('a file that is no JSON is refused', async () => {
  const path = join(newFolder(), 'patterns.json')
  writeFileSync(path, '{"version": 1, "cl')
  await expect(readPatterns(path)).rejects.toMatchObject({ code: 'BAD_FILE' })
})

test('a missing scan, other extents and a box outside are told by name', () => {
  const check = (set: PatternSet, those: typeof scans) => () => checkPatterns('p.json', set, those)
  expect(check(patterns, scans.slice(0, 1))).toThrow(/1 scan that the cohort does not have, such as "b \\?"quoted/)
  expect(check(patterns, [scans[0]!, { ...scans[1]!, shape: [15, 10, 5] }])).toThrow(
    /had 30 x 20 x 10 voxels, and it has 15 x 10 x 5 now/,
  )
  const outside = structuredClone(patterns)
  outside.classes[1]!.crops[0]!.start = [20, 0, 0]
  expect(check(outside, scans)).toThrow(/pattern 1 starts at 20, 0, 0, outside scan "a" of 20 x 20 x 10/)
  outside.classes[1]!.crops[0]!.start = [0, -8, 0]
  expect(check(outside, scans)).toThrow(/outside scan/)
})

test('a scan that is in another part now is refused: it would be trained on and held out at once', () => {
  const moved = scans.map((scan) => ({ ...scan, split: scan.id === 'a' ? 'test' : scan.split }))
  expect(() => checkPatterns('p.json', patterns, moved)).toThrow(
    /scan "a" in the train part, and it is in the test part now: give the same --split and --seed, or a manifest/,
  )
})
