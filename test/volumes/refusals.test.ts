import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
    `${join(folder, 'b.mhd')} is the header of ${join(folder, 'b.raw')}, which is no file.`,
    `${join(folder, 'c.hdr')} is the header of ${join(folder, 'c.img')}, which does not exist.`,
  ])
})

/** Offsets into the header of NIfTI-1, from its specification. */
const [voxOffset, sform] = [108, 280]

test.each<[string, (file: Buffer) => number, RegExp]>([
  ['voxels at no byte', (file) => file.writeFloatLE(Number.NaN, voxOffset), /begin at byte NaN; 348 or more/],
  ['voxels in the header', (file) => file.writeFloatLE(100, voxOffset), /begin at byte 100; 348 or more/],
  ['an affine that is no number', (file) => file.writeFloatLE(Number.NaN, sform), /places its voxels nowhere/],
  ['a flat affine', (file) => file.writeFloatLE(0, sform), /places its voxels nowhere/],
])('a NIfTI with %s is left out, and the others go on', async (_, damage, reason) => {
  const folder = await folderOf('a.nii', 'b.nii')
  const bytes = readFileSync(join(folder, 'b.nii'))
  damage(bytes)
  writeFileSync(join(folder, 'b.nii'), bytes)
  const { scans, refused } = await inspectCohort([folder])
  expect(scans.map(({ id }) => id)).toEqual(['a'])
  expect(refused[0]!.reason).toMatch(reason)
})

test('voxels at byte 0 of a file of header and voxels come after the header', async () => {
  const folder = await folderOf('a.nii')
  const { range } = (await inspectCohort([folder])).scans[0]!
  const bytes = readFileSync(join(folder, 'a.nii'))
  bytes.writeFloatLE(0, voxOffset)
  writeFileSync(join(folder, 'a.nii'), bytes)
  expect((await inspectCohort([folder])).scans[0]!.range).toEqual(range)
})

test.each(['-100', '0x', '1.5'])('a MetaImage whose header has %s bytes is left out', async (size) => {
  const folder = await folderOf('a.mha', 'b.mha')
  const whole = readFileSync(join(folder, 'b.mha'), 'latin1')
  writeFileSync(
    join(folder, 'b.mha'),
    whole.replace('ElementDataFile', `HeaderSize = ${size}\nElementDataFile`),
    'latin1',
  )
  const { refused } = await inspectCohort([folder])
  expect(refused[0]!.reason).toMatch(/HeaderSize .*: a number of bytes was expected/)
})

test('a MetaImage whose voxels are a folder is left out', async () => {
  const folder = await folderOf('a.mha', 'b.mha')
  mkdirSync(join(folder, 'sub'))
  const header = readFileSync(join(folder, 'b.mha'), 'latin1').replace(
    /ElementDataFile = LOCAL.*/s,
    'ElementDataFile = sub\n',
  )
  writeFileSync(join(folder, 'b.mha'), header, 'latin1')
  expect((await inspectCohort([folder])).refused[0]!.reason).toMatch(/which is no file/)
})
