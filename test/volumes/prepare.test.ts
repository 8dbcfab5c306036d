import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Random } from '../../src/random.js'
import { inspectCohort, prepareCohort, writeVolume } from '../../src/volumes/index.js'

const root = mkdtempSync(join(tmpdir(), 'semgen-prepare-'))
afterAll(() => rmSync(root, { recursive: true }))
let made = 0

const affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]

/** A folder with the scan a.nii of 12 x 10 x 9 voxels of 1 mm, from -1000 to 400. */
async function oneScan(): Promise<{ folder: string; path: string; cache: string }> {
  const folder = join(root, `f${made++}`)
  mkdirSync(folder)
  const random = new Random(1, 'test')
  const data = Int16Array.from({ length: 12 * 10 * 9 }, () => random.integer(-1000, 401))
  const path = join(folder, 'a.nii')
  await writeVolume(path, { shape: [12, 10, 9], affine, data })
  return { folder, path, cache: join(folder, 'cache') }
}

/** Rewrites the header in place: the voxels stay what they are. */
function correct(path: string, change: (header: Buffer) => void): void {
  const bytes = readFileSync(path)
  change(bytes)
  writeFileSync(path, bytes)
}

const times = (at: number, by: number) => (header: Buffer) => header.writeFloatLE(header.readFloatLE(at) * by, at)
const doubledSpacing = (header: Buffer) => {
  for (const at of [80, 84, 88, 280, 300, 320]) times(at, 2)(header)
}
const halvedValues = times(112, 0.5)
const raisedValues = (header: Buffer) => header.writeFloatLE(100, 116)

test('a corrected voxel size makes another prepared scan of the same voxels', async () => {
  const { folder, path, cache } = await oneScan()
  const before = await prepareCohort(await inspectCohort([folder]), { folder: cache })
  expect(before.scans[0]!.spacing).toEqual([1, 1, 1])
  correct(path, doubledSpacing)
  const after = await prepareCohort(await inspectCohort([folder]), { folder: cache })
  expect(after.scans[0]!.spacing).toEqual([2, 2, 2])
  expect(after.scans[0]!.affine.slice(0, 1)).toEqual([2])
  expect([...after.scans[0]!.voxels]).toEqual([...before.scans[0]!.voxels])
})

test('a scan that a small voxel size would blow up is left out by name', async () => {
  const { folder, path, cache } = await oneScan()
  const cohort = await inspectCohort([folder])
  const tiny = prepareCohort(cohort, { folder: cache, spacing: [0.004, 0.004, 0.004] })
  await expect(tiny).rejects.toMatchObject({ code: 'NO_DATA' })
  await expect(tiny).rejects.toThrow(`${path}: at --spacing 0.004x0.004x0.004 it would have 3000 x 2500 x 2250 voxels`)
})

test('a matrix that moves the scan, and nothing else, makes another prepared scan', async () => {
  const { folder, path, cache } = await oneScan()
  await prepareCohort(await inspectCohort([folder]), { folder: cache })
  correct(path, (header) => header.writeFloatLE(-35, 292))
  const { scans } = await prepareCohort(await inspectCohort([folder]), { folder: cache })
  expect(scans[0]!.affine[3]).toBe(-35)
})

test.each([
  ['slope', halvedValues, (hu: number) => hu / 2],
  ['intercept', raisedValues, (hu: number) => hu + 100],
] as const)('a corrected %s makes another prepared scan, of either modality', async (_, change, corrected) => {
  const { folder, path, cache } = await oneScan()
  const ct = { modality: 'ct' } as const
  const before = await prepareCohort(await inspectCohort([folder], ct), { folder: cache })
  const mr = await prepareCohort(await inspectCohort([folder], { modality: 'mr' }), { folder: cache })
  correct(path, change)
  const after = await prepareCohort(await inspectCohort([folder], ct), { folder: cache })
  const hu = (value: number) => (2000 * value) / 65535 - 1000
  for (const i of [0, 137, 1079]) {
    const expected = Math.min(1000, Math.max(-1000, corrected(hu(before.scans[0]!.voxels[i]!))))
    expect(Math.abs(hu(after.scans[0]!.voxels[i]!) - expected)).toBeLessThan(0.1)
  }
  const mrAfter = await prepareCohort(await inspectCohort([folder], { modality: 'mr' }), { folder: cache })
  mrAfter.scans[0]!.window.forEach((edge, i) => {
    expect(edge).toBeCloseTo(corrected(mr.scans[0]!.window[i]!), 3)
  })
})

test('what is asked again is used again', async () => {
  const { folder, cache } = await oneScan()
  for (let i = 0; i < 2; i++) await prepareCohort(await inspectCohort([folder]), { folder: cache })
  expect(readdirSync(cache)).toHaveLength(2)
})

test('a scan whose header was corrected after its inspection is left out with the reason', async () => {
  const { folder, path, cache } = await oneScan()
  await writeVolume(join(folder, 'b.nii'), {
    shape: [8, 8, 8],
    affine,
    data: Int16Array.from({ length: 512 }, (_, i) => i - 600),
  })
  const cohort = await inspectCohort([folder])
  correct(path, doubledSpacing)
  const { scans, refused } = await prepareCohort(cohort, { folder: cache })
  expect(scans.map(({ id }) => id)).toEqual(['b'])
  expect(refused).toEqual([{ path, reason: `${path} has changed since it was inspected.` }])
})

test('a cohort.json of before headers were kept can be gone on with', async () => {
  const { folder, cache } = await oneScan()
  const cohort = await inspectCohort([folder])
  const old = { ...cohort, scans: cohort.scans.map(({ header: _, ...scan }) => scan) }
  expect((await prepareCohort(old, { folder: cache })).scans).toHaveLength(1)
})
