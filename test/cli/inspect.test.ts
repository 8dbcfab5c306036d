import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Random } from '../../src/random.js'
import { writeNifti } from '../../src/volumes/index.js'
import { semgen } from './run.js'

const shape = [16, 14, 12] as const
const affine = [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1] as const

async function writeScan(path: string, seed: number): Promise<void> {
  const random = new Random(seed, 'test')
  await writeNifti(path, {
    shape,
    affine,
    data: Int16Array.from({ length: 16 * 14 * 12 }, () => random.integer(-1000, 500)),
  })
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-inspect-'))
  for (const set of ['good', 'mixed', 'one', 'bad', 'empty']) await mkdir(join(folder, set))
  for (let i = 0; i < 4; i++) await writeScan(join(folder, `good/patient_${i}.nii.gz`), i)
  await writeScan(join(folder, 'one/patient.nii.gz'), 1)
  await writeScan(join(folder, 'mixed/whole.nii.gz'), 1)
  const packed = await readFile(join(folder, 'one/patient.nii.gz'))
  await writeFile(join(folder, 'mixed/truncated.nii.gz'), packed.subarray(0, packed.length / 2))
  await writeFile(join(folder, 'bad/text.nii'), 'this is no image')
})
afterAll(() => rm(folder, { recursive: true }))

describe('inspect', () => {
  it('prints a table and writes cohort.json', async () => {
    const { code, out, err } = await semgen(['inspect', 'good'], { cwd: folder })
    expect(code).toBe(0)
    for (let i = 0; i < 4; i++) expect(out).toMatch(new RegExp(`^patient_${i} +16 x 14 x 12 +2 x 2 x 3 +RAS +ct`, 'm'))
    expect(out).toContain(
      '4 scans can be used, 0 cannot; train: 3 scans of 3 patients, validation: 1 scan of 1 patient.',
    )
    expect(err).toContain('Written: cohort.json')
    const cohort = JSON.parse(await readFile(join(folder, 'cohort.json'), 'utf8'))
    expect(cohort.scans).toHaveLength(4)
  })

  it('prints JSON and nothing else to standard output', async () => {
    const { out } = await semgen(['inspect', 'good', '--json', '--out', 'other.json'], { cwd: folder })
    expect(JSON.parse(out)).toEqual(JSON.parse(await readFile(join(folder, 'other.json'), 'utf8')))
  })

  it('lists a bad scan among good ones and goes on', async () => {
    const { code, out } = await semgen(['inspect', 'mixed'], { cwd: folder })
    expect(code).toBe(0)
    expect(out).toMatch(/^left out: \S*truncated\.nii\.gz [^\n]+\.$/m)
    expect(out).toContain('1 scan can be used, 1 cannot')
  })

  it.each([
    ['a folder without scans', 'empty', 'empty holds no scans'],
    ['a folder of nothing usable', 'bad', 'None of the 1 scan(s) can be used'],
    ['a folder that is not there', 'absent', 'absent does not exist'],
  ])('refuses %s in one sentence and writes nothing', async (_, source, sentence) => {
    const out = join(folder, `${source}.json`)
    const outcome = await semgen(['inspect', source, '--out', out], { cwd: folder })
    expect(outcome.code).toBe(1)
    expect(outcome.err).toMatch(/error: [^\n]+\n$/)
    expect(outcome.err).toContain(sentence)
    await expect(readFile(out)).rejects.toThrow('ENOENT')
  })

  it('says when the result cannot be written', async () => {
    const { code, err } = await semgen(['inspect', 'one', '--out', 'absent/cohort.json'], { cwd: folder })
    expect(code).toBe(1)
    expect(err).toContain('error: absent/cohort.json could not be written: ENOENT')
  })
})
