import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  commandLineLayer,
  finetuneOptions,
  type PredictOptions,
  predictOptions,
  presetLayer,
  resolveOptions,
} from '../../src/config/index.js'
import { readTable } from '../../src/evaluation/table.js'
import { type Progress, silent } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import { candidateImages } from '../../src/transfer/candidate-images.js'
import { finetune } from '../../src/transfer/finetune.js'
import type { ImageSetting } from '../../src/transfer/labelled-images.js'
import { predict } from '../../src/transfer/predict.js'
import { writeVolume } from '../../src/volumes/index.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-candidates-'))
afterAll(() => rmSync(folder, { recursive: true }))

const shape = [20, 24, 16] as const
/** RAS, stored back to front and upside down. */
const affine = [-2, 0, 0, 30, 0, 1.5, 0, -7, 0, 0, -3, 12, 0, 0, 0, 1]
const setting = (name: string, progress: Progress = silent): ImageSetting => ({
  fit: 'resize',
  seed: 0,
  split: [0.5, 0.5, 0],
  folder: join(folder, name),
  threads: 1,
  progress,
})
const header = 'seriesuid,coordX,coordY,coordZ,class'

/** A scan of air with a bright voxel at each place; gives the world points as LUNA16's lists have them (LPS). */
async function writeScan(path: string, seed: number, places: readonly (readonly number[])[]): Promise<string[]> {
  const random = new Random(seed, 'test/candidates')
  const data = Int16Array.from({ length: shape[0] * shape[1] * shape[2] }, () => random.integer(-1000, -900))
  for (const [x, y, z] of places) data[(x! * shape[1] + y!) * shape[2] + z!] = 700
  await writeVolume(path, { shape, affine, data })
  return places.map((voxel) => {
    const ras = [0, 1, 2].map((row) =>
      voxel.reduce((sum, v, axis) => sum + affine[4 * row + axis]! * v, affine[4 * row + 3]!),
    )
    return [-ras[0]!, -ras[1]!, ras[2]!].join(',')
  })
}

describe('candidates', () => {
  it('lie where their world coordinates say, whatever the scan’s orientation', async () => {
    const places = [
      [3, 20, 10],
      [0, 0, 0],
      [19, 23, 15],
    ]
    mkdirSync(join(folder, 'one'))
    const points = await writeScan(join(folder, 'one/1.2.3.mhd'), 1, places)
    await writeScan(join(folder, 'one/1.2.4.mhd'), 2, [])
    const list = join(folder, 'one.csv')
    writeFileSync(list, [header, ...points.map((point, i) => `1.2.3,${point},${i % 2}`), `1.2.9,0,0,0,1`].join('\n'))
    const said: string[] = []
    const progress = { ...silent, say: (line: string) => void said.push(line) }
    const { found } = await candidateImages([join(folder, 'one')], list, true, setting('one-cache', progress))
    expect(said.join()).toMatch(/1 scan of .*one.csv not among the images, and left out: 1.2.9 first/)
    expect(found).toMatchObject({ classes: ['0', '1'], exclusive: true, channels: 1 })
    const ready = await found.ready([8, 8, 8], found.images)
    expect(ready.map(({ id, truth }) => [id, truth])).toEqual([
      ['1.2.3-1', [0]],
      ['1.2.3-2', [1]],
      ['1.2.3-3', [0]],
    ])
    for (const { middle, channels } of ready) {
      const [x, y, z] = middle.map(Math.round)
      // Float32 of MetaImage's text, and one inverse.
      for (const voxel of middle) expect(Math.abs(voxel - Math.round(voxel))).toBeLessThan(1e-4)
      const { voxels, shape: turned } = channels[0]!
      // 700 HU of -1000 to 1000, in sixteen bits.
      expect(voxels[(x! * turned[1] + y!) * turned[2] + z!]).toBe(Math.round(0.85 * 65535))
    }
  })

  it('outside of the scan, without a class or of no scan are refused in one sentence', async () => {
    const refused = async (...lines: string[]) => {
      const list = join(folder, 'refused.csv')
      writeFileSync(list, lines.join('\n'))
      const images = candidateImages([join(folder, 'one')], list, true, setting('refused'))
      return images.catch((error) => `${error.code}: ${error.message}`)
    }
    expect(await refused(header, '1.2.3,500,0,0,1')).toMatch(
      /^BAD_FILE: .*refused.csv, row 2: \(500, 0, 0\) mm lies outside of .*1.2.3.mhd, at voxel \(.*\) of 20 x 24 x 16/,
    )
    expect(await refused(header, '1.2.3,0,zero,0,1')).toMatch(/row 2: coordY is "zero", and a finite number/)
    expect(await refused(header, '1.2.3,0,0,0,')).toMatch(/row 2: class is empty/)
    expect(await refused(header, '7.7,0,0,0,1')).toMatch(/^NO_DATA: .* names no scan of .*: the first is "7.7"/)
    expect(await refused('seriesuid,x,y,z,class', '1.2.3,0,0,0,1')).toMatch(/none of them is coordX/)
  })

  it('are learnt and predicted, in the parts of the subsets', async () => {
    const rows: string[] = []
    for (const [i, subset] of [0, 4, 5, 6, 9].entries()) {
      mkdirSync(join(folder, `luna/subset${subset}`), { recursive: true })
      const points = await writeScan(join(folder, `luna/subset${subset}/1.${i}.mhd`), i, [
        [10, 12, 8],
        [4, 5, 6],
      ])
      rows.push(`1.${i},${points[0]},1`, `1.${i},${points[1]},0`)
    }
    const list = join(folder, 'luna.csv')
    writeFileSync(list, [header, ...rows].join('\n'))
    const said: string[] = []
    const progress = { ...silent, say: (line: string) => void said.push(line) }
    const asked = { data: join(folder, 'luna'), candidates: list, out: join(folder, 'run') }
    const small = { baseWidth: 4, depth: 2, patch: '8x8x4', batch: 2, threads: 1, epochs: 1, steps: 2, device: 'cpu' }
    const layer = commandLineLayer(finetuneOptions, { ...asked, ...small })
    const ncc = presetLayer(finetuneOptions, 'ncc')
    const options = resolveOptions(finetuneOptions, layer, ncc)
    expect(options).toMatchObject({ task: 'classify', modality: 'ct', schedule: 'plateau', batch: 2 })
    const result = await finetune(options, progress)
    expect(said.join('\n')).toContain('The parts are those of the subsets')
    expect(said.join('\n')).toContain('Cases: 4 to train with, 4 held out, 2 for testing')
    expect(result.test).toMatchObject({ cases: 2 })

    const places = join(folder, 'places.csv')
    writeFileSync(places, [header.replace(',class', ''), ...rows.map((row) => row.replace(/,\d$/, ''))].join('\n'))
    const predicting = (given: object): PredictOptions => {
      const images = [join(folder, 'luna')]
      const weights = [join(folder, 'run/best.safetensors')]
      const told = { images, weights, out: join(folder, 'predicted'), threads: 1, ...given }
      return resolveOptions(predictOptions, commandLineLayer(predictOptions, told))
    }
    await expect(predict(predicting({}))).rejects.toThrow(
      /tells the surroundings of places apart: --candidates names these/,
    )
    const [path, marks] = await predict(predicting({ candidates: places }))
    const table = await readTable(path!)
    expect(table.columns).toEqual(['image', 'probability_0', 'probability_1', 'predicted'])
    expect(table.rows.map(([id]) => id)).toContain('1.4-10')
    expect(table.rows).toHaveLength(10)
    // As LUNA16's evaluation takes them: places as the list has them, and how likely they are of class 1.
    const found = await readTable(marks!)
    expect(found.columns).toEqual(['seriesuid', 'coordX', 'coordY', 'coordZ', 'probability'])
    const named = (row: readonly string[]) => row.slice(0, 4).map((cell, i) => (i > 0 ? String(Number(cell)) : cell))
    expect(found.rows.map(named)).toEqual((await readTable(places)).rows.map(named))
    expect(found.rows.map((row) => row[4])).toEqual(table.rows.map((row) => row[2]))
  })
})

const crop = new URL('../../../shared/data/chest-abdomen-ct/lidc-idri-0314_nodule_crop', import.meta.url).pathname

// Skipped aloud by name where the sample is not there.
it.skipIf(!existsSync(crop))('a nodule of LUNA16 lies where its list says (needs ../shared/data)', async () => {
  const list = join(folder, 'luna16.csv')
  const uid = '1.3.6.1.4.1.14519.5.2.1.6279.6001.154677396354641150280013275227'
  writeFileSync(list, [header, `${uid},-57.43923954,131.2325201,-520.3592267,1`].join('\n'))
  const { found } = await candidateImages([crop], list, true, setting('luna16'))
  const [nodule] = await found.ready([64, 64, 32], found.images)
  // The crop was cut about it, and its README tells of 48 HU at voxel (64, 64, 40), here in RAS order.
  const { shape: extents, voxels } = nodule!.channels[0]!
  expect(extents).toEqual([128, 128, 80])
  for (const [axis, voxel] of nodule!.middle.entries()) expect(Math.abs(voxel - extents[axis]! / 2)).toBeLessThan(1.5)
  const [x, y, z] = nodule!.middle.map(Math.round)
  const hounsfield = (voxels[(x! * extents[1] + y!) * extents[2] + z!]! / 65535) * 2000 - 1000
  expect(hounsfield).toBeGreaterThan(0)
  expect(hounsfield).toBeLessThan(100)
})
