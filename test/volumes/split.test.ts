import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Random } from '../../src/random.js'
import { inspectCohort, type SplitName, writeVolume } from '../../src/volumes/index.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-split-'))
afterAll(() => rmSync(folder, { recursive: true }))

const names = Array.from({ length: 10 }, (_, i) => `s${i}`)
beforeAll(async () => {
  for (const name of names)
    await writeVolume(join(folder, `${name}.nii`), {
      shape: [8, 8, 8],
      affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
      data: Int16Array.from({ length: 512 }, () => random.integer(-1000, 500)),
    })
})
const random = new Random(1, 'test')

/** The parts of a manifest's rows "patient" or "patient=part", in their order, as "patient:part". */
async function partsOf(
  rows: readonly string[],
  seed: number,
  split?: readonly [number, number, number],
): Promise<string[]> {
  const list = join(folder, 'list.csv')
  const lines = rows.map((row, i) => [`${names[i]}.nii`, ...row.split('='), ''].slice(0, 3).join(','))
  writeFileSync(list, ['path,patient,split', ...lines, ''].join('\n'))
  const { scans } = await inspectCohort([list], { seed, split })
  return scans.map(({ patient, split }) => `${patient}:${split}`)
}

const seeds = Array.from({ length: 12 }, (_, i) => i)
const patientsIn = (parts: readonly string[], part: SplitName) =>
  new Set(parts.filter((one) => one.endsWith(`:${part}`))).size

describe('parts', () => {
  test('what one scan is given holds for all scans of its patient, whatever the seed', async () => {
    for (const seed of seeds) {
      const parts = await partsOf(['A=train', 'A', 'B', 'B', 'C'], seed)
      expect(parts.slice(0, 2)).toEqual(['A:train', 'A:train'])
      expect(parts[2]).toBe(parts[3])
    }
  })

  test('patients with a given part take no drawn places: some are held out with every seed', async () => {
    for (const seed of seeds) {
      const parts = await partsOf(['A=train', 'B=train', 'C=train', 'D', 'E'], seed)
      expect(patientsIn(parts, 'validation')).toBe(1)
      expect(patientsIn(parts, 'train')).toBe(4)
    }
  })

  test('given patients count towards the shares', async () => {
    const rows = ['A=validation', 'B=test', 'C=test', 'D', 'E', 'F', 'G', 'H', 'I', 'J']
    const parts = await partsOf(rows, 3, [0.6, 0.2, 0.2])
    expect([patientsIn(parts, 'train'), patientsIn(parts, 'validation'), patientsIn(parts, 'test')]).toEqual([6, 2, 2])
    // More than the share are given: no further ones are drawn.
    const many = await partsOf(['A=validation', 'B=validation', 'C=validation', 'D', 'E', 'F'], 3)
    expect([patientsIn(many, 'train'), patientsIn(many, 'validation')]).toEqual([3, 3])
  })

  test('one is left to train with', async () => {
    for (const seed of seeds) {
      expect(await partsOf(['A=validation', 'B'], seed, [0.5, 0.5, 0])).toEqual(['A:validation', 'B:train'])
      expect(await partsOf(['A=test', 'B', 'B'], seed)).toEqual(['A:test', 'B:train', 'B:train'])
    }
  })

  test('where nothing is given, a seed draws what it always drew', async () => {
    const drawn = await partsOf(names, 7, [0.7, 0.2, 0.1])
    expect(drawn.map((one) => one.split(':')[1])).toEqual([
      'validation',
      'validation',
      ...new Array(7).fill('train'),
      'test',
    ])
  })

  test('a patient given two parts is refused, with both scans', async () => {
    await expect(partsOf(['A=train', 'B', 'A=validation'], 0)).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(
        /The patient "A" is given two parts, train by \S*s0\.nii and validation by \S*s2\.nii: give all scans/,
      ),
    })
  })
})
