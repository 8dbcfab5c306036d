import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { checkPatterns, type DiscoveryOptions, discover, readPatterns } from '../../src/discovery/index.js'
import { openEngine } from '../../src/engine/index.js'
import { silent } from '../../src/progress.js'
import { bodies, body, listener, newFolder } from './fixture.js'

const engine = openEngine({ device: 'cpu', threads: 1 })
const quick: DiscoveryOptions = {
  seed: 1,
  frame: 'body',
  embeddingWidth: 2,
  embeddingInput: [16, 16, 16],
  embeddingEpochs: 2,
  threads: 1,
}
const cohort = (scans = bodies(8)) => ({ scans, refused: [] })

const run = (scans: ReturnType<typeof bodies>, options: Partial<DiscoveryOptions> = {}, folder = newFolder()) =>
  discover(cohort(scans), engine, { ...quick, ...options }, silent, undefined, folder)

describe('discovering', () => {
  test('it leaves patterns that fit the cohort and a picture of each, and says what it chose', async () => {
    const folder = newFolder()
    const scans = bodies(8)
    const progress = listener()
    const patterns = await discover(cohort(scans), engine, quick, progress, undefined, folder)
    expect(await readPatterns(join(folder, 'patterns.json'))).toEqual(patterns)
    expect(() => checkPatterns('patterns.json', patterns, scans)).not.toThrow()
    expect(patterns.patch).toEqual([8, 8, 8].map(() => 16))
    const splits = new Map(scans.map(({ id, split }) => [id, split]))
    for (const { crops, reference } of patterns.classes) {
      // The reference itself first; every crop in the part of the cohort that its patient is in.
      expect(crops[0]).toMatchObject({ scan: reference, split: 'train', resolution: 0 })
      for (const crop of crops) expect(splits.get(crop.scan)).toBe(crop.split)
      const train = crops.filter(({ split }) => split === 'train')
      expect(train.map(({ resolution }) => resolution)).toEqual(train.map((_, i) => i % 3))
      expect(crops.filter(({ split }) => split === 'validation').length).toBeGreaterThan(0)
    }
    expect(patterns.embedding!.nearest[0]!.neighbours.length).toBeGreaterThan(0)
    const pictures = readdirSync(join(folder, 'montages'))
    expect(pictures).toHaveLength(patterns.classes.length)
    expect(pictures[0]).toBe('pattern-00.png')
    const said = progress.said.join('\n')
    for (const word of ['--patch', '--classes', '--neighbours', '--embedding-batch', 'Auto-encoder'])
      expect(said).toContain(word)
    expect(patterns.notes).toEqual(progress.said)
  })

  test('a picture has light and dark, colours for who is who, and one column an instance', async () => {
    const folder = newFolder()
    await run(bodies(8), { classes: 2, patch: [8, 8, 8], neighbours: 4 }, folder)
    const { data, info } = await sharp(join(folder, 'montages', 'pattern-01.png'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    const has = (r: number, g: number, b: number) => {
      for (let i = 0; i < data.length; i += info.channels)
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) return true
      return false
    }
    expect(has(86, 180, 233) && has(230, 159, 0) && has(240, 228, 66)).toBe(true)
    // Four training neighbours and the two held-out ones.
    expect(info.width).toBe(74 + 6 * (112 + 6) + 6)
  })

  test('the same seed gives the same patterns, another seed others; interrupted, it goes on to the same', async () => {
    const [a, b] = [newFolder(), newFolder()]
    await run(bodies(8), {}, a)
    const controller = new AbortController()
    const stopping = {
      ...silent,
      begin: (label: string) => ({
        advance: () => label === 'Auto-encoder' && controller.abort(new Error('stopped')),
        end() {},
      }),
    }
    await expect(discover(cohort(), engine, quick, stopping, controller.signal, b)).rejects.toThrow('stopped')
    expect(existsSync(join(b, 'patterns.json'))).toBe(false)
    await run(bodies(8), { resume: true }, b)
    expect(readFileSync(join(b, 'patterns.json'), 'utf8')).toBe(readFileSync(join(a, 'patterns.json'), 'utf8'))
    const other = await run(bodies(8), { seed: 2 })
    expect(other.classes.map(({ coordinate }) => coordinate)).not.toEqual(
      (await readPatterns(join(a, 'patterns.json'))).classes.map(({ coordinate }) => coordinate),
    )
  })

  test('what is asked for is kept', async () => {
    const patterns = await run(bodies(8), {
      classes: 4,
      neighbours: 3,
      validationNeighbours: 1,
      patch: [8, 12, 4],
      frame: 'voxel',
      borders: [4, 4, 4],
      separation: 3,
      density: 1,
    })
    expect(patterns).toMatchObject({ patch: [8, 12, 4], frame: 'voxel' })
    expect(patterns.millimetres).toBeUndefined()
    expect(patterns.classes).toHaveLength(4)
    for (const { crops, coordinate } of patterns.classes) {
      expect(new Set(crops.filter(({ split }) => split === 'train').map(({ scan }) => scan)).size).toBe(3)
      expect(crops.filter(({ split }) => split === 'validation')).toHaveLength(1)
      expect(Math.min(...coordinate)).toBeGreaterThanOrEqual(4)
      for (const crop of crops) if (crop.resolution === 0) expect(crop.start).toEqual(coordinate)
    }
  })
})

describe('small cohorts', () => {
  test('three scans, none held out: patterns all the same, and a warning', async () => {
    const scans = bodies(3).map((scan) => ({ ...scan, split: 'train' as const }))
    const progress = listener()
    const patterns = await discover(cohort(scans), engine, quick, progress, undefined, newFolder())
    expect(patterns.classes.length).toBeGreaterThanOrEqual(2)
    expect(progress.warned[0]).toMatch(/No scan is held out/)
  })

  test('MR of 12 voxels a side, smaller than the patch in one axis', async () => {
    const scans = Array.from({ length: 5 }, (_, i) =>
      body(`mr${i}`, {
        shape: [16, 14, 12],
        low: [0, 0, 0],
        high: [16, 14, 12],
        modality: 'mr',
        seed: i,
        split: i === 4 ? 'validation' : 'train',
      }),
    )
    const patterns = await run(scans, { patch: [8, 8, 16] })
    expect(patterns.classes.length).toBeGreaterThanOrEqual(2)
    for (const { crops } of patterns.classes)
      for (const crop of crops) if (crop.resolution === 0) expect(crop.start[2]).toBe(-2)
  })

  test('one scan is refused in one sentence, and nothing is written', async () => {
    const folder = newFolder()
    await expect(run(bodies(3), {}, folder)).rejects.toMatchObject({
      code: 'NO_DATA',
      message: expect.stringMatching(/at least two training scans are needed, and there is one/),
    })
    expect(readdirSync(folder)).toEqual([])
  })
})
