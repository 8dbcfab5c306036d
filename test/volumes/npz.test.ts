import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Npz } from '../../src/volumes/index.js'

const python = '/usr/bin/python3'
const numpy = (() => {
  try {
    execFileSync(python, ['-c', 'import numpy'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

const folder = mkdtempSync(join(tmpdir(), 'semgen-npz-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const types = ['u1', 'i1', '<u2', '>i2', '<u4', '>i4', '<i8', '<u8', '<f4', '>f8', '?']
const script = `
import json, sys, zipfile, numpy as np
folder = sys.argv[1]
arrays = {}
for i, t in enumerate(${JSON.stringify(types)}):
    a = np.arange(2 * 3 * 5).reshape(2, 3, 5) * 3 - (0 if t[-2:-1] in 'u' or t == '?' else 40)
    arrays[f'a{i}'] = (a % 2 if t == '?' else a).astype(np.dtype(t))
arrays['row'] = np.arange(7, dtype=np.uint8)
arrays['column'] = np.arange(7, dtype=np.uint8).reshape(7, 1)
arrays['scalar'] = np.array(5, dtype=np.uint8)
arrays['large'] = (np.arange(40 * 30 * 20 * 10) % 251).astype(np.uint8).reshape(40, 30, 20, 10)
np.savez(folder + '/stored.npz', **arrays)
np.savez_compressed(folder + '/deflated.npz', **arrays)
json.dump({k: a.astype(np.float64).flatten().tolist() for k, a in arrays.items()}, open(folder + '/values.json', 'w'))
np.savez(folder + '/objects.npz', train_images=np.array([{'run': 'me'}], dtype=object))
np.savez(folder + '/fortran.npz', a=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
with zipfile.ZipFile(folder + '/lzma.npz', 'w', zipfile.ZIP_LZMA) as z:
    z.write(folder + '/values.json', 'a.npy')
with zipfile.ZipFile(folder + '/liar.npz', 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('a.npy', np.lib.format.magic(1, 0) + (118).to_bytes(2, 'little') + b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 64, 64, 64), }".ljust(117) + b'\\n' + bytes(64))
`

// Skipped aloud by name where numpy is not installed.
describe.skipIf(!numpy)('Npz (needs python3-numpy)', () => {
  let values: Record<string, number[]>
  beforeAll(() => {
    execFileSync(python, ['-c', script, folder])
    values = JSON.parse(readFileSync(at('values.json'), 'utf8'))
  })

  it.each(['stored.npz', 'deflated.npz'])('%s is read as numpy wrote it', async (name) => {
    const file = await Npz.open(at(name))
    expect([...file.arrays.keys()].sort()).toEqual(Object.keys(values).sort())
    for (const [key, expected] of Object.entries(values)) expect([...(await file.values(key))], key).toEqual(expected)
    expect(file.arrays.get('a0')).toMatchObject({ shape: [2, 3, 5], elementBytes: 1, unsignedBytes: true })
    expect(file.arrays.get('a1')!.unsignedBytes).toBe(false)
  })

  it('gives rows one after another, and a scalar as one', async () => {
    const file = await Npz.open(at('deflated.npz'), (name) => ['large', 'column', 'scalar'].includes(name))
    let i = 0
    for await (const row of file.rows('large')) {
      expect([...row]).toEqual(values.large!.slice(6000 * i, 6000 * (i + 1)))
      i++
    }
    expect(i).toBe(40)
    const rows: number[][] = []
    for await (const row of file.rows('column')) rows.push([...row])
    expect(rows).toEqual([[0], [1], [2], [3], [4], [5], [6]])
    for await (const row of file.rows('scalar')) expect([...row]).toEqual([5])
  })

  it('can be left in the middle', async () => {
    const file = await Npz.open(at('deflated.npz'))
    for await (const row of file.rows('large')) {
      expect(row[1]).toBe(1)
      break
    }
    expect([...(await file.values('row'))]).toEqual(values.row)
  })

  it('refuses Python objects, other orders and ways to compress, and sizes that cannot be', async () => {
    await expect(Npz.open(at('objects.npz'))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringMatching(/objects.npz: "train_images.npy" holds elements that are no plain numbers/),
    })
    await expect(Npz.open(at('fortran.npz'))).rejects.toThrow(/is stored first axis fastest/)
    await expect(Npz.open(at('lzma.npz'))).rejects.toThrow(/compressed in a way that is not read/)
    await expect(Npz.open(at('liar.npz'))).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(/announces 1000000000 x 64 x 64 x 64 elements in 262144000000000 bytes/),
    })
    const file = await Npz.open(at('stored.npz'), (name) => name === 'row')
    await expect(file.values('a0')).rejects.toThrow(/has no array "a0"/)
  })

  it('refuses what is cut short, and what does not match its check sum', async () => {
    const whole = readFileSync(at('deflated.npz'))
    writeFileSync(at('cut.npz'), whole.subarray(0, whole.length / 2))
    await expect(Npz.open(at('cut.npz'))).rejects.toMatchObject({ code: 'BAD_FILE' })
    const stored = readFileSync(at('stored.npz'))
    const damaged = Buffer.from(stored)
    // Inside the voxels of "large", the last and by far the largest array.
    damaged[stored.length - 100_000]! ^= 1
    writeFileSync(at('damaged.npz'), damaged)
    const file = await Npz.open(at('damaged.npz'))
    await expect(file.values('large')).rejects.toThrow(/"large.npy" does not match its check sum/)
    const broken = Buffer.from(whole)
    const inside = whole.indexOf('large.npy') + 300
    broken.fill(0xff, inside, inside + 50)
    writeFileSync(at('broken.npz'), broken)
    const read = async () => (await Npz.open(at('broken.npz'))).values('large')
    await expect(read()).rejects.toMatchObject({ code: 'BAD_FILE' })
    writeFileSync(at('text.npz'), 'no archive at all')
    await expect(Npz.open(at('text.npz'))).rejects.toMatchObject({ code: 'BAD_FILE' })
    await expect(Npz.open(at('nowhere.npz'))).rejects.toMatchObject({ code: 'IO' })
  })
})

const sample = new URL('../../../shared/data/adrenalmnist3d_64/adrenalmnist3d_64.npz', import.meta.url).pathname

// Skipped aloud by name where the sample is not there.
it.skipIf(!existsSync(sample) || !numpy)(
  'real images of MedMNIST are those that numpy reads (needs ../shared/data and python3-numpy)',
  async () => {
    const script =
      "import numpy, sys, json; a = numpy.load(sys.argv[1]); i = a['val_images']; print(json.dumps([i.shape, i.reshape(len(i), -1).astype(int).sum(1).tolist(), a['test_labels'].flatten().tolist()]))"
    const [shape, sums, labels] = JSON.parse(execFileSync(python, ['-c', script, sample], { encoding: 'utf8' }))
    const file = await Npz.open(sample)
    expect(file.arrays.get('val_images')!.shape).toEqual(shape)
    const found: number[] = []
    for await (const row of file.rows('val_images')) found.push(row.reduce((sum, value) => sum + value, 0))
    expect(found).toEqual(sums)
    expect([...(await file.values('test_labels'))]).toEqual(labels)
  },
)
