import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { Random } from '../../src/random.js'
import { type Cohort, inspectCohort, prepareCohort, readVolume, writeVolume } from '../../src/volumes/index.js'

const root = mkdtempSync(join(tmpdir(), 'semgen-cohort-'))
afterAll(() => rmSync(root, { recursive: true }))
let made = 0

const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]

/** A folder of small CT-like scans, each different. */
async function folderOf(names: readonly string[], spacing = 1): Promise<string> {
  const folder = join(root, `c${made++}`)
  mkdirSync(folder)
  const affine = identity.map((value, i) => (i === 0 || i === 5 || i === 10 ? value * spacing : value))
  for (const name of names) {
    const random = new Random(made, name)
    const data = Int16Array.from({ length: 12 * 10 * 9 }, () => random.integer(-1000, 500))
    await writeVolume(join(folder, name), { shape: [12, 10, 9], affine, data })
  }
  return folder
}

const byName = (cohort: Cohort) => Object.fromEntries(cohort.scans.map((scan) => [scan.id, scan]))

test('bad scans are listed with a sentence each, and the good ones go on', async () => {
  const folder = await folderOf(['a.nii.gz', 'b.nii', 'c.nii', 'd.mha'])
  cpSync(join(folder, 'a.nii.gz'), join(folder, 'cut.nii.gz'))
  truncateSync(join(folder, 'cut.nii.gz'), statSync(join(folder, 'cut.nii.gz')).size - 200)
  cpSync(join(folder, 'b.nii'), join(folder, 'twin.nii'))
  writeFileSync(join(folder, 'text.nii'), 'this is no image')
  const huge = Buffer.alloc(352)
  huge.writeInt32LE(348, 0)
  for (const [i, extent] of [3, 30000, 30000, 30000, 1, 1, 1, 1].entries()) huge.writeInt16LE(extent, 40 + 2 * i)
  huge.writeInt16LE(16, 70)
  huge.writeFloatLE(352, 108)
  huge.write('n+1\0', 344, 'latin1')
  writeFileSync(join(folder, 'liar.nii'), huge)
  writeFileSync(join(folder, 'packed-liar.nii.gz'), gzipSync(huge))
  const shape = [12, 10, 9] as const
  await writeVolume(join(folder, 'flat.nii'), { shape, affine: identity, data: new Int16Array(1080).fill(3) })
  await writeVolume(join(folder, 'nan.nii'), { shape, affine: identity, data: new Float32Array(1080).fill(Number.NaN) })
  await writeVolume(join(folder, 'slice.nii'), {
    shape: [30, 30, 1],
    affine: identity,
    data: Int16Array.from({ length: 900 }, (_, i) => i),
  })

  const cohort = await inspectCohort([folder])
  expect(Object.keys(byName(cohort))).toEqual(['a', 'b', 'c', 'd'])
  const reasons = Object.fromEntries(cohort.refused.map(({ path, reason }) => [path.slice(folder.length + 1), reason]))
  expect(reasons).toEqual({
    'cut.nii.gz': expect.stringMatching(/cut short or damaged/),
    'twin.nii': expect.stringMatching(/same voxels as .*b\.nii/),
    'text.nii': expect.stringMatching(/not a NIfTI file/),
    'liar.nii': expect.stringMatching(/cannot hold them|cannot be/),
    'packed-liar.nii.gz': expect.stringMatching(/cannot hold them|cannot be/),
    'flat.nii': expect.stringMatching(/constant/),
    'nan.nii': expect.stringMatching(/no finite number/),
    'slice.nii': expect.stringMatching(/too small/),
  })
  expect(byName(cohort).a!.modality).toBe('ct')
  expect(cohort.scans.filter((scan) => scan.split === 'validation')).toHaveLength(1)
})

test('sources that hold nothing, or do not exist, are refused by name', async () => {
  const empty = join(root, 'empty')
  mkdirSync(empty)
  await expect(inspectCohort([empty])).rejects.toMatchObject({
    code: 'NO_DATA',
    message: expect.stringContaining(empty),
  })
  await expect(inspectCohort([join(root, 'nowhere')])).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringContaining('nowhere'),
  })
})

test('folders, globs and manifests name the same scans; labels are left out', async () => {
  const folder = await folderOf(['p1_t1.nii', 'p1_t2.nii', 'p2_t1.nii', 'p3_t1.nii'])
  mkdirSync(join(folder, 'labels'))
  cpSync(join(folder, 'p1_t1.nii'), join(folder, 'labels/p1_t1.nii'))
  const all = await inspectCohort([folder])
  expect(all.scans).toHaveLength(4)
  expect(all.notes.join()).toContain('labels')
  expect(byName(all).p1_t1!.patient).toBe('p1')
  // A patient is never on both sides.
  expect(byName(all).p1_t1!.split).toBe(byName(all).p1_t2!.split)

  const globbed = await inspectCohort([join(folder, 'p*_t{1,3}.nii')])
  expect(globbed.scans.map((scan) => scan.id)).toEqual(['p1_t1', 'p2_t1', 'p3_t1'])

  writeFileSync(join(folder, 'list.csv'), 'path,patient,split\np1_t1.nii,x,train\np3_t1.nii,y,validation\n')
  const listed = await inspectCohort([join(folder, 'list.csv')])
  expect(listed.scans.map(({ id, patient, split }) => [id, patient, split])).toEqual([
    ['p1_t1', 'x', 'train'],
    ['p3_t1', 'y', 'validation'],
  ])
  writeFileSync(join(folder, 'bad.csv'), 'file\np1_t1.nii\n')
  await expect(inspectCohort([join(folder, 'bad.csv')])).rejects.toThrow(/bad\.csv is no manifest: row 2, path/)
})

test('links to scans are scans; links to folders, and those that lead nowhere, are left alone', async () => {
  const [folder, linking] = [await folderOf(['a.nii', 'b.nii']), join(root, 'linking')]
  mkdirSync(linking)
  symlinkSync(join(folder, 'a.nii'), join(linking, 'first.nii'))
  symlinkSync(join(folder, 'none.nii'), join(linking, 'lost.nii'))
  symlinkSync(linking, join(linking, 'round'))
  expect((await inspectCohort([linking])).scans.map(({ id }) => id)).toEqual(['first'])
})

test('a split.json above the images decides, and the seed decides otherwise', async () => {
  const folder = await folderOf(['a.nii', 'b.nii', 'c.nii', 'd.nii', 'e.nii'])
  const drawn = await inspectCohort([folder], { seed: 1 })
  expect(await inspectCohort([folder], { seed: 1 })).toEqual(drawn)
  writeFileSync(join(folder, 'split.json'), JSON.stringify({ train: ['a', 'b', 'c'], validation: ['e'], test: ['d'] }))
  const split = byName(await inspectCohort([folder], { seed: 1 }))
  expect(Object.values(split).map((scan) => scan.split)).toEqual(['train', 'train', 'train', 'test', 'validation'])
})

test('prepared scans are exact, reused when nothing changed, and made again when something did', async () => {
  const folder = await folderOf(['a.nii.gz', 'b.nii'])
  const cache = join(folder, 'cache')
  const cohort = await inspectCohort([folder])
  const { scans } = await prepareCohort(cohort, { folder: cache })
  const scan = scans.find(({ id }) => id === 'a')!
  const volume = await readVolume(scan.path)
  for (const [x, y, z] of [
    [0, 0, 0],
    [11, 9, 8],
    [5, 3, 7],
  ] as const) {
    const hu = volume.data[x + 12 * (y + 10 * z)]!
    expect(scan.voxels[(x * 10 + y) * 9 + z]).toBe(Math.round(((hu + 1000) / 2000) * 65535))
  }
  const times = () => readdirSync(cache).map((name) => [name, statSync(join(cache, name)).mtimeMs])
  const before = times()
  await prepareCohort(cohort, { folder: cache })
  expect(times()).toEqual(before)

  const coarse = await prepareCohort(cohort, { folder: cache, spacing: [2, 2, 3] })
  expect(coarse.scans[0]!.shape).toEqual([6, 5, 3])
  expect(coarse.scans[0]!.spacing).toEqual([2, 2, 3])
  expect(coarse.scans[0]!.affine[3]).toBeCloseTo(0.5, 6)

  truncateSync(join(folder, 'b.nii'), 500)
  utimesSync(join(folder, 'b.nii'), 1, 1)
  rmSync(cache, { recursive: true })
  const rest = await prepareCohort(cohort, { folder: cache })
  expect(rest.scans.map(({ id }) => id)).toEqual(['a'])
  expect(rest.refused[0]!.reason).toMatch(/b\.nii is cut short/)
  expect(existsSync(cache)).toBe(true)
})

test('MR is stretched between its quantiles, and the body is found in air', async () => {
  const folder = join(root, 'mr')
  mkdirSync(folder)
  const shape = [40, 30, 20] as const
  const data = new Float32Array(40 * 30 * 20)
  const random = new Random(5, 'mr')
  for (let x = 0; x < 40; x++)
    for (let y = 0; y < 30; y++)
      for (let z = 0; z < 20; z++) {
        const inside = x >= 10 && x < 32 && y >= 5 && y < 25 && z >= 3 && z < 18
        data[(x * 30 + y) * 20 + z] = inside ? 400 + 300 * random.uniform() : 10 * random.uniform()
      }
  data[7] = 1e6 // one hot voxel must not squeeze everything else
  await writeVolume(join(folder, 'm.nii'), { shape, affine: identity, data })
  await writeVolume(join(folder, 'n.nii'), {
    shape,
    affine: identity,
    data: data.map((value) => 2 * value) as Float32Array,
  })
  const { scans } = await prepareCohort(await inspectCohort([folder]), { folder: join(folder, 'cache') })
  const scan = scans[0]!
  expect(scan.modality).toBe('mr')
  expect(scan.body).toEqual({ low: [10, 5, 3], high: [32, 25, 18] })
})
