import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect, test } from 'vitest'
import { canonical, readVolume, writeVolume } from '../../src/volumes/index.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-write-'))
afterAll(() => rmSync(folder, { recursive: true }))

const nibabel = (() => {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import nibabel'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

const shape = [3, 4, 5] as const
const data = Int16Array.from({ length: 60 }, (_, i) => 7 * i - 200)
/** Oblique, left-handed, uneven: nothing that a mistake could hide behind. */
const affine = [-1.2, 0.1, 0, 30, 0.15, 0.9, -0.3, -40, 0, 0.25, 2.4, 12.5, 0, 0, 0, 1]

test.each(['a.nii', 'a.nii.gz', 'a.mhd', 'a.mha'])('%s comes back as it was written', async (name) => {
  const path = join(folder, name)
  await writeVolume(path, { shape, affine, data })
  const volume = await readVolume(path)
  expect(volume.shape).toEqual(shape)
  // Float32 in NIfTI, ten or more digits of text in MetaImage.
  for (let i = 0; i < 12; i++) expect(volume.affine[i]!).toBeCloseTo(affine[i]!, 5)
  for (let x = 0; x < 3; x++)
    for (let y = 0; y < 4; y++)
      for (let z = 0; z < 5; z++) expect(volume.data[x + 3 * (y + 4 * z)]).toBe(data[(x * 4 + y) * 5 + z])
})

test.each(['trailing.nii', 'trailing.nii.gz'])('what follows the voxels of %s is let be', async (name) => {
  const whole = join(folder, 'whole.nii')
  await writeVolume(whole, { shape, affine, data })
  const bytes = Buffer.concat([readFileSync(whole), Buffer.from('a remark')])
  writeFileSync(join(folder, name), name.endsWith('.gz') ? gzipSync(bytes) : bytes)
  const volume = await readVolume(join(folder, name))
  expect(volume.data).toEqual((await readVolume(whole)).data)
})

// Skipped aloud by name where Debian's python3-nibabel is not installed.
test.skipIf(!nibabel)('nibabel reads the same affine and voxels (needs python3-nibabel)', async () => {
  const path = join(folder, 'n.nii.gz')
  await writeVolume(path, { shape, affine, data })
  const script =
    'import nibabel, json, sys; i = nibabel.load(sys.argv[1]); print(json.dumps([i.affine.flatten().tolist(), i.get_fdata().flatten().tolist(), [float(z) for z in i.header.get_zooms()]]))'
  const [theirs, values, zooms] = JSON.parse(
    execFileSync('/usr/bin/python3', ['-c', script, path], { encoding: 'utf8' }),
  )
  for (let i = 0; i < 16; i++) expect(theirs[i]).toBeCloseTo(affine[i]!, 5)
  expect(values).toEqual([...data])
  expect(zooms[2]).toBeCloseTo(Math.hypot(0.3, 2.4), 5)
})

test('canonical order keeps every voxel at its place in the world', async () => {
  const path = join(folder, 'c.nii')
  await writeVolume(path, { shape, affine, data })
  const volume = await readVolume(path)
  const { scan, affine: turned } = canonical(volume)
  const world = (matrix: readonly number[], voxel: readonly number[]) =>
    [0, 1, 2].map(
      (row) =>
        matrix[row * 4]! * voxel[0]! +
        matrix[row * 4 + 1]! * voxel[1]! +
        matrix[row * 4 + 2]! * voxel[2]! +
        matrix[row * 4 + 3]!,
    )
  const places = new Map<number, number[]>()
  for (let x = 0; x < 3; x++)
    for (let y = 0; y < 4; y++)
      for (let z = 0; z < 5; z++) places.set(data[(x * 4 + y) * 5 + z]!, world(affine, [x, y, z]))
  for (let x = 0; x < scan.shape[0]; x++)
    for (let y = 0; y < scan.shape[1]; y++)
      for (let z = 0; z < scan.shape[2]; z++) {
        const value = scan.data[scan.offset + x * scan.strides[0] + y * scan.strides[1] + z * scan.strides[2]]!
        const place = world(turned, [x, y, z])
        for (let axis = 0; axis < 3; axis++) expect(place[axis]!).toBeCloseTo(places.get(value)![axis]!, 4)
      }
  expect(turned[0]!).toBeGreaterThan(0)
  expect(existsSync(path)).toBe(true)
})
