import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  commandLineLayer,
  finetuneOptions,
  predictOptions,
  presetLayer,
  resolveOptions,
} from '../../src/config/index.js'
import { silent } from '../../src/progress.js'
import { finetune } from '../../src/transfer/finetune.js'
import { predict } from '../../src/transfer/predict.js'
import { readVolume, scaledValues, writeVolume } from '../../src/volumes/index.js'
import { convertWeights } from '../../src/weights/index.js'
import { affine, shape, writeBalls, writeVolumes } from './balls.js'

const ids = ['c0', 'c1', 'c2', 'c3']
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-channels-'))
  await writeBalls(join(folder, 'plain'), ids.length)
  for (const id of ids) {
    const data = Float32Array.from(scaledValues(await readVolume(join(folder, `plain/images/${id}.nii.gz`))))
    const inverse = data.map((value) => 2 - value)
    const labels = Float32Array.from(scaledValues(await readVolume(join(folder, `plain/labels/${id}.nii.gz`))))
    mkdirSync(join(folder, 'own', id), { recursive: true })
    const write = (kind: string, values: Float32Array) =>
      writeVolume(join(folder, 'own', id, `${id}_${kind}.nii.gz`), { shape, affine, data: values })
    await write('T1', data)
    await write('Flair', inverse)
    await write('seg', labels)
    await write('brainmask', data)
    await writeSeries(join(folder, 'series'), id, [inverse, data], labels)
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Two channels as the volumes of one file, as the Decathlon has. */
async function writeSeries(into: string, id: string, volumes: readonly Float32Array[], labels: Float32Array) {
  for (const part of ['images', 'labels']) mkdirSync(join(into, part), { recursive: true })
  await writeVolumes(join(into, 'images', `${id}.nii`), volumes)
  await writeVolume(join(into, 'labels', `${id}.nii`), { shape, affine, data: labels })
}

const small = { baseWidth: 4, depth: 2, patch: '16x16x16', batch: 2, threads: 1, device: 'cpu', precision: 'fp32' }
const tune = (data: string, out: string, given: object = {}, said: string[] = []) =>
  finetune(
    resolveOptions(
      finetuneOptions,
      commandLineLayer(finetuneOptions, {
        data: join(folder, data),
        out: join(folder, out),
        split: '0.5,0.25,0.25',
        ...small,
        epochs: 1,
        steps: 2,
        ...given,
      }),
    ),
    { ...silent, say: (line) => said.push(line), warn: (line) => said.push(line) },
  )
const predicted = (images: string, weights: string, out: string) =>
  predict(
    resolveOptions(
      predictOptions,
      commandLineLayer(predictOptions, { images: [join(folder, images)], weights, out: join(folder, out), threads: 1 }),
    ),
  )

describe('several channels', () => {
  it('are the same from a folder of each case and from the volumes of one file', async () => {
    const said: string[] = []
    const own = await tune('own', 'from-own', {}, said)
    expect(said.join('\n')).toContain('Channels of each case: flair, t1.')
    const series = await tune('series', 'from-series')
    expect(readFileSync(series.weights).subarray(-4096)).toEqual(readFileSync(own.weights).subarray(-4096))
    expect(series.validation).toBe(own.validation)

    const [a] = await predicted('own', own.weights, 'predicted-own')
    const [b] = await predicted('series/images', series.weights, 'predicted-series')
    expect([a!.slice(folder.length), b!.slice(folder.length)]).toEqual([
      '/predicted-own/c0.nii.gz',
      '/predicted-series/c0.nii.gz',
    ])
    const [one, other] = [await readVolume(a!), await readVolume(b!)]
    expect(scaledValues(one)).toEqual(scaledValues(other))
    expect([one.shape, one.affine]).toEqual([other.shape, other.affine])
    await expect(predicted('plain/images', own.weights, 'refused')).rejects.toThrow(/None of 4 images could be/)
  })

  it('can be chosen, and are looked for by the same names afterwards', async () => {
    const { weights } = await tune('own', 'chosen', { channels: 'fl' })
    const plain = await tune('plain', 'plainly', {})
    expect(readFileSync(weights).length).toBeGreaterThan(0)
    expect(plain.labelledCases).toBe(2)
    expect(await predicted('own', weights, 'predicted-chosen')).toHaveLength(4)
  })

  it('predict the same from a run, and from a .pt made of it', async () => {
    const { weights } = await tune('plain', 'kept', {})
    const converted = join(folder, 'kept.pt')
    await convertWeights({ file: weights, out: converted, force: false })
    const maps = []
    for (const [i, from] of [weights, join(folder, 'kept'), converted].entries()) {
      const [first] = await predicted('plain/images', from, `predicted-kept-${i}`)
      maps.push(readFileSync(first!))
    }
    expect(maps[1]).toEqual(maps[0])
    expect(maps[2]).toEqual(maps[0])
    const onnx = join(folder, 'kept.onnx')
    await convertWeights({ file: weights, out: onnx, force: false })
    await expect(predicted('plain/images', onnx, 'none')).rejects.toThrow(/no weights in a format that is read/)
  })

  it('must be the same in every case', async () => {
    const data = join(folder, 'uneven')
    for (const [i, id] of ids.entries()) {
      const labels = Float32Array.from(scaledValues(await readVolume(join(folder, `plain/labels/${id}.nii.gz`))))
      const image = Float32Array.from(scaledValues(await readVolume(join(folder, `plain/images/${id}.nii.gz`))))
      const other = image.map((value) => 3 - value)
      if (i < 3) await writeSeries(data, id, [image, other], labels)
      else {
        await writeVolume(join(data, 'images', `${id}.nii`), { shape, affine, data: image })
        await writeVolume(join(data, 'labels', `${id}.nii`), { shape, affine, data: labels })
      }
    }
    const said: string[] = []
    await tune('uneven', 'from-uneven', { split: '0.6,0.4,0' }, said)
    expect(said.join('\n')).toMatch(/Left out: .*c3.nii has 1 channel and .*c0.nii 2: images that go together/)
  })
})

describe('presets', () => {
  it('lie beneath what is given, and above the defaults', () => {
    const given = commandLineLayer(finetuneOptions, { data: 'task', out: 'run', batch: 3 })
    const options = resolveOptions(finetuneOptions, given, presetLayer(finetuneOptions, 'bms'))
    expect(options).toMatchObject({ batch: 3, patch: [64, 64, 32], labels: 'whole=1-4', folds: 3, fold: 1 })
    expect(options.spacing).toEqual([1.5625, 1.5625, 1.5625])
    expect(options.loss).toBe('dice')
  })
})
