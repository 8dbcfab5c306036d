import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkPatterns, readPublishedPatterns } from '../../src/discovery/index.js'
import { silent } from '../../src/progress.js'
import { newFolder } from './fixture.js'

const python = '/usr/bin/python3'

function hasNumpy(): boolean {
  try {
    execFileSync(python, ['-c', 'import numpy'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs Python with numpy as np and `save(name, array)`, in a new folder. */
function arrays(script: string): string {
  const folder = newFolder()
  const head =
    'import numpy as np\nr = np.random.RandomState(0)\ndef save(n, a): np.save(n + "_vwGen_ex_ref_fold1.0.npy", a)\n'
  execFileSync(python, ['-c', head + script], { cwd: folder })
  return folder
}

/** Two classes of three instances in three resolutions, and two held-out cubes; voxel values tell where they are from. */
const small = `
for n in (1, 2, 3):
    d = np.zeros((6, 4, 6, 8))
    for i in range(6): d[i] = (n * 10 + i) / 100 + np.arange(192).reshape(4, 6, 8) / 1000
    save("train_data%d" % n, d)
    save("train_label%d" % n, np.array([0, 1, 0, 1, 0, 1]))
save("val_data1", np.full((2, 4, 6, 8), 0.5, np.float32))
save("val_label1", np.array([1, 0]))
`

describe.skipIf(!hasNumpy())('published arrays (made with numpy: skipped where /usr/bin/python3 has none)', () => {
  const read = (folder: string, cache = newFolder()) => readPublishedPatterns(folder, cache, silent)

  test('they become a pattern set whose scans are the cubes', async () => {
    const folder = arrays(small)
    const { patterns, scans } = await read(folder)
    expect(patterns).toMatchObject({ patch: [4, 6, 8], frame: 'voxel' })
    expect(patterns.classes).toHaveLength(2)
    expect(() => checkPatterns(folder, patterns, scans)).not.toThrow()
    const [zero, one] = patterns.classes
    expect(zero!.crops.map(({ scan, resolution }) => [scan, resolution])).toEqual([
      ['train1-000000', 0],
      ['train2-000000', 1],
      ['train3-000000', 2],
      ['train1-000002', 0],
      ['train2-000002', 1],
      ['train3-000002', 2],
      ['train1-000004', 0],
      ['train2-000004', 1],
      ['train3-000004', 2],
      ['val1-000001', 0],
    ])
    expect(one!.crops.at(-1)).toEqual({
      scan: 'val1-000000',
      start: [0, 0, 0],
      size: [4, 6, 8],
      split: 'validation',
      resolution: 0,
    })
    const scan = scans.find(({ id }) => id === 'train2-000003')!
    expect(scan).toMatchObject({ split: 'train', shape: [4, 6, 8] })
    // Value (20 + 3) / 100 + index / 1000 at index (x * 6 + y) * 8 + z.
    const at = (1 * 6 + 2) * 8 + 3
    expect(scan.voxels[at]! / 65535).toBeCloseTo(0.23 + at / 1000, 4)
  })

  test('the cubes are converted once', async () => {
    const folder = arrays(small)
    const cache = newFolder()
    await read(folder, cache)
    const files = readdirSync(cache)
    const written = files.map((name) => statSync(join(cache, name)).mtimeMs)
    const { scans } = await read(folder, cache)
    expect(readdirSync(cache)).toEqual(files)
    expect(files.map((name) => statSync(join(cache, name)).mtimeMs)).toEqual(written)
    expect(scans).toHaveLength(20)
  })

  test('labels may be one-hot, and cubes may have a channel, single precision, big-endian bytes', async () => {
    const folder = arrays(`
save("train_data1", np.linspace(0, 1, 2 * 64).reshape(2, 1, 4, 4, 4).astype(">f4"))
save("train_label1", np.eye(2, dtype=np.float32)[[1, 0]])
`)
    const { patterns, scans } = await read(folder)
    expect(patterns.classes.map(({ crops }) => crops.map(({ scan }) => scan))).toEqual([
      ['train1-000001'],
      ['train1-000000'],
    ])
    expect(scans[1]!.voxels[63]).toBe(65535)
    expect(scans[0]!.voxels[1]! / 65535).toBeCloseTo(1 / 127, 4)
  })

  const one = 'save("train_data1", np.zeros((2, 4, 4, 4)));'
  test.each([
    ['nothing', '', 'NO_DATA', /holds no published patterns/],
    ['no labels', one, 'BAD_FILE', /has no labels/],
    ['labels of others', `${one} save("train_label1", np.array([0, 1, 1]))`, 'BAD_FILE', /expected are 2 labels/],
    ['labels that are no classes', `${one} save("train_label1", np.array([0.5, 1]))`, 'BAD_FILE', /no class number/],
    ['negative labels', `${one} save("train_label1", np.array([-1, 1]))`, 'BAD_FILE', /no class number/],
    ['two ones in a row', `${one} save("train_label1", np.ones((2, 3)))`, 'BAD_FILE', /no class number/],
    ['a class without cubes', `${one} save("train_label1", np.array([0, 2]))`, 'BAD_FILE', /skip pattern 1/],
    [
      'values beyond [0, 1]',
      'save("train_data1", np.full((2, 4, 4, 4), 40.)); save("train_label1", np.array([0, 1]))',
      'BAD_FILE',
      /holds the value 40/,
    ],
    [
      'NaN',
      'd = np.zeros((2, 4, 4, 4)); d[1, 0, 0, 0] = np.nan; save("train_data1", d); save("train_label1", np.array([0, 1]))',
      'BAD_FILE',
      /cube 1 holds the value NaN/,
    ],
    [
      'Fortran order',
      'save("train_data1", np.zeros((2, 4, 4, 4), order="F")); save("train_label1", np.array([0, 1]))',
      'UNSUPPORTED',
      /Fortran order/,
    ],
    [
      'flat arrays',
      'save("train_data1", np.zeros((2, 64))); save("train_label1", np.array([0, 1]))',
      'BAD_FILE',
      /expected are cubes/,
    ],
    [
      'Python objects',
      'save("train_data1", np.array([{}, {}])); save("train_label1", np.array([0, 1]))',
      'UNSUPPORTED',
      /no plain numbers/,
    ],
    [
      'cubes of other extents',
      `${one} save("train_label1", np.array([0, 1])); save("val_data1", np.zeros((1, 8, 4, 4))); save("val_label1", np.array([0]))`,
      'BAD_FILE',
      /8 x 4 x 4/,
    ],
  ])('%s: refused in one sentence, and nothing is left half-written', async (_, script, code, message) => {
    const folder = arrays(script)
    const cache = newFolder()
    await expect(read(folder, cache)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    for (const name of existsSync(cache) ? readdirSync(cache) : []) expect(name).toMatch(/\.u16$/)
  })

  test('an array that is cut short is refused before anything is allocated', async () => {
    const folder = arrays(small)
    truncateSync(join(folder, 'train_data2_vwGen_ex_ref_fold1.0.npy'), 1000)
    await expect(read(folder)).rejects.toMatchObject({ code: 'BAD_FILE', message: expect.stringMatching(/1000 bytes/) })
    rmSync(folder, { recursive: true })
    await expect(read(folder)).rejects.toMatchObject({ code: 'IO' })
  })
})
