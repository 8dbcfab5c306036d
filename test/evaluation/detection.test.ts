import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from '../../src/engine/addon.js'
import type { DetectionResult } from '../../src/evaluation/detection.js'
import { evaluate } from '../../src/evaluation/index.js'
import { evaluating, listening } from './fixture.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-detect-'))
  for (const [name, text] of Object.entries(tables)) writeFileSync(join(folder, `${name}.csv`), text)
})
afterAll(() => rmSync(folder, { recursive: true }))

const tables = {
  nodules: 'seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,10\na,50,0,0,8\nb,0,0,0,6\n',
  marks:
    'seriesuid,coordX,coordY,coordZ,probability\na,1,1,1,0.9\na,49,0,0,0.3\nb,20,0,0,0.8\nc,0,0,0,0.5\nd,0,0,0,0.7\n',
  // Of an unknown diameter: 10 mm.
  excluded: 'seriesuid,coordX,coordY,coordZ,diameter_mm\nb,24,0,0,-1\n',
  wrong: 'seriesuid,coordX,coordY,diameter_mm\na,0,0,10\n',
}

let made = 0
const run = async (given: object = {}) => {
  const { lines, progress } = listening()
  const out = join(folder, `out${made++}`)
  const sources = { predictions: join(folder, 'marks.csv'), truth: join(folder, 'nodules.csv') }
  const { result, page } = await evaluate(evaluating({ ...sources, out, task: 'detect', ...given }), progress)
  return { result: result as DetectionResult, page: readFileSync(page, 'utf8'), lines, out }
}

describe('evaluating marks', () => {
  it('counts nodules found and marks that are none, a scan', async () => {
    writeFileSync(join(folder, 'scans.csv'), 'a\nb\nc\ne\n')
    const { result, lines, out, page } = await run({
      scans: join(folder, 'scans.csv'),
      ignore: join(folder, 'excluded.csv'),
    })
    // By score: found 0.9, (ignored 0.8), false 0.5, found 0.3; four scans.
    expect(result.froc).toMatchObject({ scans: 4, nodules: 3, found: 2 })
    const [one, two] = [1 / 3, 2 / 3]
    expect(result.froc.sensitivities).toEqual([one, two, two, two, two, two, two])
    expect(result.outside).toEqual({ marks: 1, nodules: 0 })
    expect(lines.join()).toContain('Left out: 1 mark and 0 nodules of scans')
    expect(readFileSync(join(out, 'cases.csv'), 'utf8')).toBe(
      [
        'scan,x,y,z,diameterMm,bestScore,falsePositivesOfScan,ignoredMarksOfScan',
        'a,0,0,0,10,0.9,0,0',
        'a,50,0,0,8,0.3,0,0',
        'b,0,0,0,6,,0,1',
        'c,,,,,,1,0',
        'e,,,,,,0,0',
        '',
      ].join('\n'),
    )
    expect(page).not.toMatch(/NaN|undefined/)
  })

  it('takes the scans of both tables where none are listed, and says so', async () => {
    const { result, lines } = await run()
    expect(result.froc.scans).toBe(4)
    expect(lines.join()).toContain('Scans: 4, those with a nodule or a mark')
  })

  it.each([
    ['a wrong column', { truth: 'wrong.csv' }, 'none of them is coordz or z'],
    ['a mask’s option', { tolerance: '1' }, '--tolerance goes with --task segment'],
    ['missing predictions', { missing: 'skip' }, '--missing has no meaning with --task detect'],
    ['no nodule', { truth: 'none.csv' }, 'nothing to find'],
  ])('refuses %s', async (_, given: { truth?: string; tolerance?: string; missing?: string }, sentence) => {
    writeFileSync(join(folder, 'none.csv'), 'seriesuid,coordX,coordY,coordZ,diameter_mm\n')
    const truth = given.truth ? { truth: join(folder, given.truth) } : {}
    await expect(run({ ...given, ...truth })).rejects.toThrow(sentence)
  })

  const luna = join(projectRoot(), '../shared/data/luna16-annotations')
  // Skipped aloud by name where the data is not beside the project.
  it.skipIf(!existsSync(luna))('finds all of LUNA16’s nodules where its list is marked (../shared/data)', async () => {
    const rows = readFileSync(join(luna, 'annotations.csv'), 'utf8').trim().split('\n').slice(1)
    const marks = rows.map((row) => `${row.split(',').slice(0, 4).join(',')},1`)
    writeFileSync(join(folder, 'luna.csv'), `seriesuid,coordX,coordY,coordZ,probability\n${marks.join('\n')}\n`)
    const { result } = await run({
      predictions: join(folder, 'luna.csv'),
      truth: join(luna, 'annotations.csv'),
      scans: join(luna, 'seriesuids.csv'),
    })
    expect(result.froc).toMatchObject({ scans: 888, nodules: 1186, found: 1186, mean: 1 })
  })
})
