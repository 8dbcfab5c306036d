import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeNifti } from '../../src/volumes/index.js'
import { semgen } from './run.js'

const affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-evaluate-'))
  for (const set of ['truth', 'predicted']) await mkdir(join(folder, set))
  const write = (path: string, voxels: number) =>
    writeNifti(join(folder, path), {
      shape: [4, 4, 4],
      affine,
      data: Uint8Array.from({ length: 64 }, (_, i) => (i < voxels ? 1 : 0)),
    })
  await write('truth/a.nii.gz', 32)
  await write('predicted/a.nii.gz', 16)
  await writeFile(join(folder, 'scores.csv'), 'id,score\na,0.9\nb,0.2\nc,0.7\n')
  await writeFile(join(folder, 'known.csv'), 'id,label\na,1\nb,0\nc,0\n')
})
afterAll(() => rm(folder, { recursive: true }))

describe('evaluate', () => {
  it('prints a table, and says where the page is', async () => {
    const { code, out, err } = await semgen(['evaluate', 'predicted', 'truth', '--out', 'masks'], { cwd: folder })
    expect(code).toBe(0)
    // 16 of 32 voxels: Dice 2 * 16 / 48, IoU 16 / 32; background 32 / 48.
    expect(out).toMatch(/^label 1 +0\.667 +– +0\.500 +0\.583 /m)
    expect(err).toContain('Written: masks/evaluation.html')
  })

  it('of scores prints what they rank', async () => {
    const { code, out } = await semgen(
      ['evaluate', 'scores.csv', 'known.csv', '--task', 'classify', '--out', 'ranked'],
      { cwd: folder },
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^1 +1 +2 +1\.000 +– +1\.000 +1\.000 +0\.500$/m)
  })

  it('refuses to replace an evaluation, and to be called without --out', async () => {
    await semgen(['evaluate', 'predicted', 'truth', '--out', 'taken'], { cwd: folder })
    const again = await semgen(['evaluate', 'predicted', 'truth', '--out', 'taken'], { cwd: folder })
    expect([again.code, again.out]).toEqual([2, ''])
    expect(again.err).toMatch(/^error: taken\/evaluation\.json is there already: --force replaces it[^\n]*\n$/)
    expect((await semgen(['evaluate', 'predicted', 'truth'], { cwd: folder })).code).toBe(2)
  })
})
