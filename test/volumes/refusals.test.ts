import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { type ErrorCode, SemgenError } from '../../src/errors.js'
import { Random } from '../../src/random.js'
import { inspectCohort, writeVolume } from '../../src/volumes/index.js'
import type * as read from '../../src/volumes/read.js'

/** Names of files whose next reading fails, and with what. */
const failing = vi.hoisted(() => new Map<string, Error>())

vi.mock('../../src/volumes/read.js', async (original) => {
  const real = await original<typeof read>()
  const readVolume: typeof real.readVolume = async (path) => {
    const error = failing.get(basename(path))
    failing.delete(basename(path))
    if (error) throw error
    return real.readVolume(path)
  }
  return { ...real, readVolume }
})

const root = mkdtempSync(join(tmpdir(), 'semgen-refusals-'))
afterAll(() => rmSync(root, { recursive: true }))
let made = 0

async function folderOf(...names: readonly string[]): Promise<string> {
  const folder = join(root, `f${made++}`)
  mkdirSync(folder)
  const random = new Random(made, 'test')
  for (const name of names)
    await writeVolume(join(folder, name), {
      shape: [8, 8, 8],
      affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
      data: Int16Array.from({ length: 512 }, () => random.integer(-1000, 500)),
    })
  return folder
}

test.each<ErrorCode>(['OUT_OF_MEMORY', 'IO', 'NATIVE'])(
  'a scan that the machine refused (%s) is not dropped: the inspection ends',
  async (code) => {
    const folder = await folderOf('a.nii', 'b.nii', 'c.nii')
    failing.set('b.nii', new SemgenError(code, 'b.nii was refused.'))
    await expect(inspectCohort([folder])).rejects.toMatchObject({ code, message: 'b.nii was refused.' })
    // The next time it is there, and so are the parts that are drawn with it.
    expect((await inspectCohort([folder])).scans.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
  },
)

test.each<ErrorCode>(['BAD_FILE', 'UNSUPPORTED'])('a file that is itself to blame (%s) is left out', async (code) => {
  const folder = await folderOf('a.nii', 'b.nii')
  failing.set('b.nii', new SemgenError(code, 'b.nii was refused.'))
  const { scans, refused } = await inspectCohort([folder])
  expect(scans.map(({ id }) => id)).toEqual(['a'])
  expect(refused).toEqual([{ path: join(folder, 'b.nii'), reason: 'b.nii was refused.' }])
})

test('a scan that a manifest names and that is not there ends the inspection by its name', async () => {
  const folder = await folderOf('a.nii')
  writeFileSync(join(folder, 'list.csv'), 'path\na.nii\nmissing.nii\n')
  await expect(inspectCohort([join(folder, 'list.csv')])).rejects.toMatchObject({
    code: 'IO',
    message: `${join(folder, 'missing.nii')} does not exist.`,
  })
})

test('a header without its voxels beside it is left out', async () => {
  const folder = await folderOf('a.nii', 'b.mhd')
  rmSync(join(folder, 'b.raw'))
  const hdr = Buffer.alloc(352)
  hdr.writeInt32LE(348, 0)
  for (const [i, extent] of [3, 8, 8, 8, 1, 1, 1, 1].entries()) hdr.writeInt16LE(extent, 40 + 2 * i)
  hdr.writeInt16LE(16, 70)
  hdr.write('ni1\0', 344, 'latin1')
  writeFileSync(join(folder, 'c.hdr'), hdr)
  const { scans, refused } = await inspectCohort([folder])
  expect(scans.map(({ id }) => id)).toEqual(['a'])
  expect(refused.map(({ reason }) => reason)).toEqual([
    `${join(folder, 'b.mhd')} is the header of ${join(folder, 'b.raw')}, which does not exist.`,
    `${join(folder, 'c.hdr')} is the header of ${join(folder, 'c.img')}, which does not exist.`,
  ])
})
