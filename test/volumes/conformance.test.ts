import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { projectRoot } from '../../src/engine/addon.js'
import { isVolumeFile, readVolume } from '../../src/volumes/read.js'
import { canonical, scaledValues } from '../../src/volumes/volume.js'

/** What nibabel says of odd files from the test suites of reference libraries. */
interface Expected {
  shape?: number[]
  dtype?: unknown
  affine?: number[][]
  min?: number
  max?: number
  sum?: number
  centre?: number
  nonFinite?: number
  error?: string
  dataError?: string
}

const folder = join(projectRoot(), '../shared/data/odd-files')
const present = existsSync(folder)
const expected: Record<string, Expected> = present
  ? JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'))
  : {}
const names = Object.keys(expected).filter((name) => isVolumeFile(name))

/** Files that nibabel reads and we refuse, with the rule. */
const refused: Record<string, RegExp> = {
  'nibabel/analyze.hdr': /Analyze 7.5|does not exist/,
  'niivue/ct_perfusion.nii.gz': /RGB colours/,
}

// Skipped aloud by name where the data is not beside the project.
describe.skipIf(!present)('odd files (../shared/data/odd-files)', () => {
  test('there are some', () => expect(names.length).toBeGreaterThan(40))

  test.each(names)('%s', async (name) => {
    const wanted = expected[name]!
    const reading = readVolume(join(folder, name))
    const rule = refused[name] ?? (wanted.error || wanted.dataError ? /\.$/ : undefined)
    if (rule) {
      await expect(reading).rejects.toThrow(rule)
      await expect(reading).rejects.toMatchObject({ name: 'SemgenError', message: expect.stringContaining(folder) })
      return
    }
    const volume = await reading
    const dims = [...wanted.shape!.slice(0, 3)]
    while (dims.length < 3) dims.push(1)
    expect(volume.shape).toEqual(dims)
    expect(volume.channels).toBe(wanted.shape!.slice(3).reduce((product, extent) => product * extent, 1))
    wanted.affine!.flat().forEach((value, i) => {
      // The header stores float32, and products of cosines and spacings are rounded once more.
      expect(volume.affine[i]!).toBeCloseTo(value, 3)
    })
    const values = scaledValues(volume).filter(Number.isFinite)
    const near = (actual: number, value: number, what: string) =>
      expect(Math.abs(actual - value), what).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)))
    near(
      values.reduce((a, b) => Math.min(a, b), Infinity),
      wanted.min!,
      'smallest',
    )
    near(
      values.reduce((a, b) => Math.max(a, b), -Infinity),
      wanted.max!,
      'largest',
    )
    near(
      values.reduce((a, b) => a + b, 0),
      wanted.sum!,
      'sum',
    )
    expect(volume.data.length - values.length).toBe(wanted.nonFinite ?? 0)
  })

  test('one brain in 24 orientations comes out the same', async () => {
    const brains = names.filter((name) => name.startsWith('niivue-nifti_space/'))
    expect(brains).toHaveLength(24)
    const seen = new Set<string>()
    for (const name of brains) {
      const volume = await readVolume(join(folder, name))
      const { scan, code } = canonical(volume)
      expect(code).toBe(/([A-Z]{3})\.nii/.exec(name)![1])
      const [X, Y, Z] = scan.shape
      const voxels: number[] = []
      for (let x = 0; x < X; x++)
        for (let y = 0; y < Y; y++)
          for (let z = 0; z < Z; z++)
            voxels.push(scan.data[scan.offset + x * scan.strides[0] + y * scan.strides[1] + z * scan.strides[2]]!)
      seen.add(`${scan.shape} ${Buffer.from(voxels).toString('base64')}`)
    }
    expect(seen.size).toBe(1)
  })
})
