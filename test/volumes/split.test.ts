import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Random } from '../../src/random.js'
import { inspectCohort, type SplitName, writeVolume } from '../../src/volumes/index.js'
import { patientNamed, withFoldersPatients } from '../../src/volumes/split.js'

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

describe('patients that nobody names', () => {
  const told = (...paths: readonly string[]) => {
    const notes: string[] = []
    const files = withFoldersPatients(
      paths.map((path) => ({ path })),
      notes,
    )
    return { patients: files.map(({ patient }) => patient), notes }
  }

  test.each([
    ['patient_003_t1', 'patient_003'],
    ['p01_visita', 'p01'],
    ['sub-02_ses-1_T1w', 'sub-02'],
    ['sub-02_ses-2_acq-x_T1w', 'sub-02'],
    ['hippocampus_001', 'hippocampus_001'],
  ])('%s is of %s', (name, patient) => expect(patientNamed(name)).toBe(patient))

  test('are the folders that files of the same names lie in, and one that lacks a name is no other', () => {
    const { patients, notes } = told('/s/p1/T1.nii', '/s/p1/T2.nii', '/s/p2/T1.nii', '/s/p3/T1.nii', '/s/p3/FLAIR.nii')
    expect(patients).toEqual(['p1', 'p1', 'p2', 'p3', 'p3'])
    expect(notes).toEqual([expect.stringContaining('3 of them')])
  })

  test('visits below a patient are of that patient', () => {
    const paths = ['p1/a/ct', 'p1/b/ct', 'p2/a/ct', 'p3/a/ct', 'p3/b/ct'].map((path) => `/s/${path}.nii`)
    expect(told(...paths).patients).toEqual(['p1', 'p1', 'p2', 'p3', 'p3'])
  })

  test('hospitals that count their patients alike are no patients', () => {
    const paths = ['x/001', 'x/002', 'x/003', 'y/001', 'y/002'].map((path) => `/s/${path}.nii`)
    expect(told(...paths)).toEqual({ patients: paths.map(() => undefined), notes: [] })
  })

  test('nor are they by a name that two of them happen to have', () => {
    const paths = ['x/a1', 'x/a2', 'x/a3', 'x/scan', 'y/b1', 'y/b2', 'y/scan'].map((path) => `/s/${path}.nii`)
    expect(told(...paths)).toEqual({ patients: paths.map(() => undefined), notes: [] })
  })

  test('names that differ tell the patients themselves', () => {
    expect(told('/s/a/p1_t1.nii', '/s/b/p2_t1.nii').patients).toEqual([undefined, undefined])
  })
})
