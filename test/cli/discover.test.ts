import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patternSet } from '../../src/discovery/index.js'
import { semgen } from './run.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-discover-'))
  const { code, err } = await semgen(['phantom', '--out', 'scans', '--count', '4', '--size', '48x48x40'], {
    cwd: folder,
  })
  expect(code, err).toBe(0)
})
afterAll(() => rm(folder, { recursive: true }))

const small = ['--classes', '3', '--embedding-width', '2', '--embedding-input', '16x16x16', '--embedding-epochs', '2']

describe('discover', () => {
  it('finds patterns and leaves a picture of each', async () => {
    const { code, out, err } = await semgen(['discover', 'scans', '--out', 'patterns', ...small], { cwd: folder })
    expect(code, err).toBe(0)
    expect(out).toBe('patterns/patterns.json\n')
    const patterns = patternSet.parse(JSON.parse(await readFile(join(folder, 'patterns/patterns.json'), 'utf8')))
    expect(patterns.classes).toHaveLength(3)
    expect(await readdir(join(folder, 'patterns/montages'))).toEqual([
      'pattern-00.png',
      'pattern-01.png',
      'pattern-02.png',
    ])
  })

  it('keeps what is there unless it is told to replace it or to go on', async () => {
    const again = await semgen(['discover', 'scans', '--out', 'patterns', ...small], { cwd: folder })
    expect(again.code).toBe(2)
    expect(again.err).toContain('error: patterns already holds a discovery: go on with it (--resume)')
    const before = await readFile(join(folder, 'patterns/patterns.json'))
    const resumed = await semgen(['discover', 'scans', '--out', 'patterns', '--resume', ...small], { cwd: folder })
    expect(resumed.code, resumed.err).toBe(0)
    expect(await readFile(join(folder, 'patterns/patterns.json'))).toEqual(before)
    const other = [
      'discover',
      '/nonexistent',
      '--out',
      'patterns',
      '--resume',
      '--modality',
      'mr',
      '--split',
      '0.5,0.5,0',
    ]
    const refused = await semgen(other, { cwd: folder })
    expect(refused.code).toBe(2)
    expect(refused.err).toMatch(/error: The scans: \["\/nonexistent"\] now, but the run was begun with \["scans"\]/)
  })

  it.each<[string, string[], number, string]>([
    ['one scan', ['scans/images/PH_0001.nii.gz', '--out', 'one'], 1, 'at least two training scans are needed'],
    ['a patch that is none', ['scans', '--out', 'patch', '--patch', '16x16'], 2, '--patch takes three whole numbers'],
    ['no folder', ['scans'], 2, '--out must be given'],
  ])('refuses %s in one sentence', async (_, args, code, sentence) => {
    const outcome = await semgen(['discover', ...args], { cwd: folder })
    expect(outcome.code).toBe(code)
    expect(outcome.err.split('\n').filter((line) => line.startsWith('error: '))).toHaveLength(1)
    expect(outcome.err).toContain(sentence)
  })
})
