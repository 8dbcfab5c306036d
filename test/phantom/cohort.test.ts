import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { labelNames, labelOf, makePhantoms, readLabelMap } from '../../src/phantom/index.js'
import { silent } from '../../src/progress.js'
import { inspectCohort, readVolume } from '../../src/volumes/index.js'

const root = mkdtempSync(join(tmpdir(), 'semgen-phantom-'))
afterAll(() => rmSync(root, { recursive: true }))

/** Small, so that a scan takes a fraction of a second. */
const size = [48, 40, 36] as const
const three = join(root, 'three')
const make = (out: string, count: number, more: object = {}) =>
  makePhantoms({ out, count, seed: 7, nodules: 4, size, ...more })

/** Every file below a folder and the hash of its content. */
function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    names
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(folder.length + 1), createHash('sha256').update(readFileSync(path)).digest('hex')])
      .sort(),
  )
}

beforeAll(async () => {
  await make(three, 3)
})

describe('a cohort', () => {
  it('lies as it is documented to', () => {
    expect(Object.keys(contents(three))).toEqual(
      [1, 2, 3]
        .flatMap((n) => [`images/PH_000${n}.nii.gz`, `labels/PH_000${n}.nii.gz`])
        .concat('nodules.csv', 'phantoms.json')
        .sort(),
    )
    const record = JSON.parse(readFileSync(join(three, 'phantoms.json'), 'utf8'))
    expect(record.settings).toEqual({ seed: 7, format: 'nifti', size: [...size], nodules: 4 })
    expect(record.labels['11']).toBe('liver')
    expect(Object.values(record.labels)).toEqual([...labelNames])
    expect(record.scans.map(({ id }: { id: string }) => id)).toEqual(['PH_0001', 'PH_0002', 'PH_0003'])
  })

  it('begins with the scans of a smaller one', async () => {
    const one = join(root, 'one')
    await make(one, 1)
    for (const name of ['images/PH_0001.nii.gz', 'labels/PH_0001.nii.gz'])
      expect(contents(one)[name]).toBe(contents(three)[name])
    // And grows into the larger one, file by file.
    const grown = await make(one, 3)
    expect(grown.made).toBe(2)
    expect(contents(one)).toEqual(contents(three))
  })

  it('is the same volume in either format', async () => {
    const meta = join(root, 'meta')
    await make(meta, 2, { format: 'metaimage' })
    for (const kind of ['images', 'labels'])
      for (const id of ['PH_0001', 'PH_0002']) {
        const nifti = await readVolume(join(three, kind, `${id}.nii.gz`))
        const mha = await readVolume(join(meta, kind, `${id}.mha`))
        expect(mha.shape).toEqual(nifti.shape)
        expect(Buffer.from(mha.data.buffer, mha.data.byteOffset, mha.data.byteLength)).toEqual(
          Buffer.from(nifti.data.buffer, nifti.data.byteOffset, nifti.data.byteLength),
        )
        // NIfTI's affine is float32: half a unit in the last place of some hundred millimetres.
        for (const [i, value] of mha.affine.entries()) expect(Math.abs(value - nifti.affine[i]!)).toBeLessThan(4e-5)
      }
    expect(readFileSync(join(meta, 'nodules.csv'), 'utf8').split('\n').slice(0, 3)).toEqual(
      readFileSync(join(three, 'nodules.csv'), 'utf8').split('\n').slice(0, 3),
    )
  })

  it('is read as CT without problems, and its label maps are no scans', async () => {
    const cohort = await inspectCohort([three], { modality: 'auto', split: [1, 0, 0], seed: 0 }, silent)
    expect(cohort.scans).toHaveLength(3)
    for (const scan of cohort.scans) {
      expect(scan.modality).toBe('ct')
      expect(scan.problems).toEqual([])
    }
  })

  it('lists nodules as LUNA16 does, at their places in the lungs', async () => {
    const [header, ...rows] = readFileSync(join(three, 'nodules.csv'), 'utf8').trimEnd().split('\n')
    expect(header).toBe('seriesuid,coordX,coordY,coordZ,diameter_mm')
    expect(rows.length).toBeGreaterThan(2)
    for (const row of rows) {
      const [id, ...numbers] = row.split(',')
      const [x, y, z, diameter] = numbers.map(Number) as [number, number, number, number]
      const volume = await readVolume(join(three, 'labels', `${id}.nii.gz`))
      const { shape, affine, spacing } = volume
      // The file's axes are the world's, so each index follows from one coordinate; LPS is RAS with two signs turned.
      const index = [-x, -y, z].map((value, axis) => (value - affine[axis * 4 + 3]!) / affine[axis * 4 + axis]!)
      const at = index.map(Math.round)
      const labelAt = ([i, j, k]: readonly number[]) => Number(volume.data[(k! * shape[1] + j!) * shape[0] + i!])
      expect(labelAt(at)).toBe(labelOf('nodule'))
      // Around it, one radius and two voxels off, is mostly lung (with its vessels and airways).
      const lung = ['right lung', 'left lung', 'pulmonary vessels', 'airways', 'nodule'].map((name) =>
        labelOf(name as (typeof labelNames)[number]),
      )
      let [inLung, around] = [0, 0]
      for (const axis of [0, 1, 2])
        for (const side of [-1, 1]) {
          const beside = [...at]
          beside[axis]! += side * Math.round(diameter / 2 / spacing[axis]! + 1)
          around++
          if (lung.includes(labelAt(beside))) inLung++
        }
      expect(inLung / around).toBeGreaterThan(0.6)
    }
  })

  const nibabel = (() => {
    try {
      execFileSync('/usr/bin/python3', ['-c', 'import nibabel'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })()
  it.skipIf(!nibabel)(`lies in the world where nibabel sees it${nibabel ? '' : ' (skipped: no nibabel here)'}`, () => {
    const path = join(three, 'images/PH_0002.nii.gz')
    const script = `
import json, sys, nibabel
image = nibabel.load(sys.argv[1])
print(json.dumps({'shape': image.shape, 'affine': image.affine.tolist(), 'code': ''.join(nibabel.aff2axcodes(image.affine)),
  'zooms': [float(z) for z in image.header.get_zooms()], 'type': str(image.get_data_dtype()),
  'units': image.header.get_xyzt_units()[0], 'low': int(image.dataobj[...].min()), 'high': int(image.dataobj[...].max())}))`
    const seen = JSON.parse(execFileSync('/usr/bin/python3', ['-c', script, path], { encoding: 'utf8' }))
    const scan = JSON.parse(readFileSync(join(three, 'phantoms.json'), 'utf8')).scans[1]
    expect(seen.shape).toEqual(scan.shape)
    expect(seen.code).toBe('LPS')
    expect(seen.type).toBe('int16')
    expect(seen.units).toBe('mm')
    for (const axis of [0, 1, 2]) expect(seen.zooms[axis]).toBeCloseTo(scan.spacing[axis], 5)
    expect(seen.low).toBeGreaterThanOrEqual(-1024)
    expect(seen.high).toBeGreaterThan(300)
    expect(seen.high).toBeLessThanOrEqual(3071)
  })
})

describe('a folder', () => {
  it('that is finished is left as it is', async () => {
    const times = () => readdirSync(join(three, 'images')).map((name) => statSync(join(three, 'images', name)).mtimeMs)
    const before = times()
    const { made, scans } = await make(three, 2)
    expect(made).toBe(0)
    // What lies beyond the count asked for stays, and stays listed.
    expect(scans).toHaveLength(3)
    expect(times()).toEqual(before)
  })

  it('whose making was stopped holds whole files only, and is gone on with', async () => {
    const out = join(root, 'stopped')
    const controller = new AbortController()
    // Ctrl-C as soon as the first scan is written, while the second is being made.
    const stopper = {
      ...silent,
      begin: () => ({ advance: () => controller.abort(new Error('enough')), end() {} }),
    }
    const options = { out, count: 3, seed: 7, nodules: 4, size: [80, 64, 64] as const }
    await expect(makePhantoms(options, stopper, controller.signal)).rejects.toThrow('enough')
    expect(existsSync(join(out, 'images/PH_0001.nii.gz'))).toBe(true)
    expect(existsSync(join(out, 'images/PH_0003.nii.gz'))).toBe(false)
    const names = Object.keys(contents(out))
    expect(names.filter((name) => name.includes('.tmp'))).toEqual([])
    for (const name of names.filter((name) => name.endsWith('.gz'))) await readVolume(join(out, name))
    const record = JSON.parse(readFileSync(join(out, 'phantoms.json'), 'utf8'))
    for (const { image, labels } of record.scans) for (const name of [image, labels]) expect(names).toContain(name)
    await make(out, 3, { size: [80, 64, 64] })
    const whole = join(root, 'whole')
    await make(whole, 3, { size: [80, 64, 64] })
    expect(contents(out)).toEqual(contents(whole))
  })

  it('whose scans are not on record, as after kill -9, is put right', async () => {
    const out = join(root, 'killed')
    await make(out, 3)
    const path = join(out, 'phantoms.json')
    const record = JSON.parse(readFileSync(path, 'utf8'))
    writeFileSync(path, JSON.stringify({ ...record, scans: record.scans.slice(0, 1) }))
    rmSync(join(out, 'images/PH_0003.nii.gz'))
    expect((await make(out, 3)).made).toBe(1)
    expect(contents(out)).toEqual(contents(three))
  })

  it('of other settings or with other content is refused, unless forced', async () => {
    const out = join(root, 'forced')
    await make(out, 2)
    await expect(make(out, 2, { seed: 8 })).rejects.toThrow(/--seed 7, not 8: .*--force/)
    await expect(make(out, 2, { size: [32, 32, 32], nodules: 0 })).rejects.toThrow(/--size 48x40x36 --nodules 4/)
    writeFileSync(join(out, 'images/notes.txt'), 'mine')
    await make(out, 1, { seed: 8, force: true, format: 'metaimage' })
    expect(Object.keys(contents(out)).sort()).toEqual(
      ['images/PH_0001.mha', 'images/notes.txt', 'labels/PH_0001.mha', 'nodules.csv', 'phantoms.json'].sort(),
    )
    const strange = join(root, 'strange')
    mkdirSync(strange)
    writeFileSync(join(strange, 'thesis.txt'), 'mine')
    await expect(make(strange, 1)).rejects.toThrow(/not empty and holds no phantoms/)
    expect(readdirSync(strange)).toEqual(['thesis.txt'])
  })

  it('that cannot be made is a sentence', async () => {
    writeFileSync(join(root, 'file'), '')
    await expect(make(join(root, 'file'), 1)).rejects.toThrow(/file/)
  })
})

describe('options that cannot be used', () => {
  it.each([
    [{ count: 0 }, '--count takes a whole number from 1 to 100000, not 0.'],
    [{ count: 1.5 }, '--count takes a whole number'],
    [{ seed: -1 }, '--seed takes a whole number from 0, not -1.'],
    [{ size: [64, -3, 64] }, '--size takes three whole numbers from 16 to 1024'],
    [{ size: [1024, 1024, 1024] }, '--size 1024x1024x1024 is more than'],
    [{ format: 'png' }, '--format takes nifti or metaimage, not "png".'],
    [{ nodules: 99 }, '--nodules takes a whole number from 0 to 20, not 99.'],
  ])('%j get one clear sentence, and nothing is written', async (options, sentence) => {
    const out = join(root, 'never')
    await expect(make(out, 1, options)).rejects.toThrow(sentence)
    expect(existsSync(out)).toBe(false)
  })
})

it('a label map is read in body axes: x to the right, y to the front, z up', async () => {
  const map = await readLabelMap(join(three, 'labels/PH_0001.nii.gz'))
  expect(map.shape).toEqual(size)
  const mean = (name: 'liver' | 'spleen' | 'sternum' | 'vertebrae' | 'shoulder girdle', axis: 0 | 1 | 2): number => {
    let [sum, count] = [0, 0]
    for (const [index, label] of map.data.entries()) {
      if (label !== labelOf(name)) continue
      sum += [Math.floor(index / (size[1] * size[2])), Math.floor(index / size[2]) % size[1], index % size[2]][axis]!
      count++
    }
    return sum / count
  }
  expect(mean('liver', 0)).toBeGreaterThan(mean('spleen', 0))
  expect(mean('sternum', 1)).toBeGreaterThan(mean('vertebrae', 1))
  expect(mean('shoulder girdle', 2)).toBeGreaterThan(mean('liver', 2))
})
