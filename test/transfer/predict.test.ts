import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { commandLineLayer, predictOptions, resolveOptions } from '../../src/config/index.js'
import { openEngine } from '../../src/engine/index.js'
import { Network, type NetworkShape, publishedUNet } from '../../src/nn/index.js'
import { silent } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import { writeWeights } from '../../src/training/checkpoint.js'
import { recordedPreparation } from '../../src/transfer/intensities.js'
import { predict } from '../../src/transfer/predict.js'
import { readVolume, scaledValues, writeVolume } from '../../src/volumes/index.js'
import { writeNpz } from './blobs.js'

/** What is watched: threads that patches are cut with, and bytes of arrays that are held while a volume is written. */
const watched = vi.hoisted(() => ({ threads: [] as unknown[], bytes: [] as number[], collect: () => {} }))
vi.mock('../../src/transfer/patches.js', async (original) => {
  const module = await original<typeof import('../../src/transfer/patches.js')>()
  const fillPatches: typeof module.fillPatches = (...given) => {
    watched.threads.push(given[5])
    return module.fillPatches(...given)
  }
  return { ...module, fillPatches }
})
vi.mock('../../src/volumes/index.js', async (original) => {
  const module = await original<typeof import('../../src/volumes/index.js')>()
  const write: typeof module.writeVolume = (...given) => {
    watched.collect()
    watched.bytes.push(process.memoryUsage().arrayBuffers)
    return module.writeVolume(...given)
  }
  return { ...module, writeVolume: write }
})

const patch = [16, 16, 16] as const
const unet: NetworkShape = { ...publishedUNet(), baseWidth: 2, depth: 2, patch, norm: 'running' }
const classifier: NetworkShape = { ...unet, kind: 'classifier', classes: 2 }

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-predict-'))
  // A CT as many archives have it: stored without a sign, which auto takes for MR; one in Hounsfield units; and neither.
  await writeImage('unsigned', (random) => random.integer(0, 4096))
  await writeImage('hounsfield', (random) => random.integer(-1024, 1476))
  await writeImage('other', (random) => random.integer(0, 900))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function writeImage(
  name: string,
  value: (random: Random) => number,
  shape: [number, number, number] = [18, 20, 16],
) {
  const random = new Random(1, `test/${name}`)
  const data = Int16Array.from({ length: shape[0] * shape[1] * shape[2] }, () => value(random))
  await writeVolume(join(folder, `${name}.nii.gz`), {
    shape,
    affine: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    data,
  })
}

/** Weights that nobody trained, with what is recorded of the intensities that they take. */
async function weightsOf(name: string, intensities: unknown, shape = unet, more: object = {}): Promise<string> {
  const path = join(folder, `${name}.safetensors`)
  const names = Array.from({ length: shape.classes || shape.outputChannels }, (_, i) => ({
    name: `o${i}`,
    labels: [i + 1],
  }))
  await writeWeights(path, new Network(openEngine({ device: 'cpu', threads: 1 }), shape, 7), {
    ...(shape.classes > 0 ? { task: 'classification', exclusive: true, fit: 'crop' } : { task: 'segmentation' }),
    outputs: names,
    spacing: null,
    ...(intensities === undefined ? {} : { intensities }),
    ...more,
  })
  return path
}

let runs = 0
/** Predicts one image into a folder of its own: what was predicted in numbers, and what was said. */
async function predicted(weights: string | string[], image: string, given: object = {}) {
  const out = join(folder, `out${runs++}`)
  const lines: string[] = []
  const keep = (line: string) => void lines.push(line)
  const asked = { images: [join(folder, image)], weights, out, device: 'cpu', precision: 'fp32', threads: 1, ...given }
  const options = resolveOptions(predictOptions, commandLineLayer(predictOptions, asked))
  const paths = await predict(options, { ...silent, say: keep, warn: keep })
  const last = paths.at(-1)!
  const values = last.endsWith('.csv') ? readFileSync(last, 'utf8') : [...scaledValues(await readVolume(last))]
  return { values, said: lines.join('\n'), out }
}

const ct = { modality: 'ct', window: [-1000, 1000] }
const mr = { modality: 'mr', window: 'each scan: quantiles 0.5 % and 99.5 %' }

describe.each([
  ['weights that segment', unet, { probabilities: true }],
  ['weights that classify', classifier, {}],
])('%s', (kind, shape, given) => {
  const weights = (name: string, intensities: unknown) => weightsOf(`${kind}-${name}`, intensities, shape)

  it('have images prepared as those were that they were trained on, and say where one looks otherwise', async () => {
    const path = await weights('ct', ct)
    const unasked = await predicted(path, 'unsigned.nii.gz', given)
    const asked = await predicted(path, 'unsigned.nii.gz', { ...given, modality: 'ct' })
    const guessed = await predicted(path, 'unsigned.nii.gz', { ...given, modality: 'auto' })
    expect(unasked.values).toEqual(asked.values)
    expect(unasked.values).not.toEqual(guessed.values)
    expect(unasked.said).toContain('Images are prepared as CT, which is what the weights were trained on.')
    expect(unasked.said).toMatch(/unsigned.nii.gz looks like MR \(values from 0 to 409\d\), and is prepared as CT, as/)
    expect(asked.said).not.toMatch(/looks like|prepared/)
    expect(guessed.said).toMatch(
      /ct.safetensors was trained on CT, and images are prepared as is guessed .*--modality auto/,
    )

    const fitting = await predicted(path, 'hounsfield.nii.gz', given)
    expect(fitting.said).not.toContain('looks like')
    const other = await weights('mr', mr)
    const contradicted = await predicted(other, 'hounsfield.nii.gz', given)
    expect(contradicted.said).toMatch(/hounsfield.nii.gz looks like CT .* and is prepared as MR, as the weights/)
    expect(contradicted.values).toEqual(
      (await predicted(other, 'hounsfield.nii.gz', { ...given, modality: 'mr' })).values,
    )
    expect(contradicted.values).not.toEqual(fitting.values)
  })

  it('have the recorded window, where nothing says what it follows from', async () => {
    const window = await predicted(await weights('window', { window: [-1000, 1000] }), 'other.nii.gz', given)
    const path = await weights('ct', ct)
    expect(window.values).toEqual((await predicted(path, 'other.nii.gz', { ...given, modality: 'ct' })).values)
    expect(window.said).toContain('Images are prepared as intensities from -1000 to 1000')
  })

  it('do not go together where they were trained on images prepared differently, but as --modality says', async () => {
    const both = [await weights('ct', ct), await weights('mr', mr)]
    await expect(predicted(both, 'hounsfield.nii.gz', given)).rejects.toThrow(
      /mr.safetensors and .*ct.safetensors do not go together: the one was trained on MR, the other on CT; .* --modality/,
    )
    const silentOne = [both[0]!, await weights('unknown', undefined)]
    await expect(predicted(silentOne, 'hounsfield.nii.gz', given)).rejects.toThrow(/images that it does not describe/)
    const told = await predicted(both, 'hounsfield.nii.gz', { ...given, modality: 'ct' })
    expect(told.said).toMatch(/mr.safetensors was trained on MR, and images are prepared as CT \(--modality ct\)/)
    // Of one seed: their mean is what each says.
    expect(told.values).toEqual((await predicted(both[0]!, 'hounsfield.nii.gz', given)).values)
  })

  it('are asked with as many threads as the engine has', async () => {
    const path = await weights('ct', ct)
    watched.threads.length = 0
    await predicted(path, 'hounsfield.nii.gz', { ...given, threads: 3 })
    expect(new Set(watched.threads)).toEqual(new Set([3]))
    watched.threads.length = 0
    await predicted(path, 'hounsfield.nii.gz', { ...given, threads: undefined })
    expect(new Set(watched.threads)).toEqual(new Set([openEngine({ device: 'cpu' }).threads]))
  })

  it('leave nothing beside their result, and remove what a prediction left that was killed', async () => {
    const path = await weights('ct', ct)
    const machine = hostname().replace(/[^\w-]/g, '_')
    const gone = spawnSync(process.execPath, ['-e', '']).pid
    const out = join(folder, `${kind}-leftovers`)
    const names = [`${machine}-${gone}`, `${machine}-${process.pid}`, `${machine}-${process.ppid}`, `else-${gone}`]
    for (const name of names) {
      mkdirSync(join(out, `.prepared-${name}-0123abcd/scan`), { recursive: true })
      writeFileSync(join(out, `.prepared-${name}-0123abcd/scan/voxels.u16`), 'x')
    }
    await predicted(path, 'hounsfield.nii.gz', { out })
    const hidden = readdirSync(out).filter((name) => name.startsWith('.'))
    expect(hidden.sort()).toEqual(
      names
        .slice(2)
        .map((name) => `.prepared-${name}-0123abcd`)
        .sort(),
    )
  })
})

it('an image whose name is ".." takes nothing of the result with it', async () => {
  const image = join(folder, '...nii.gz')
  copyFileSync(join(folder, 'hounsfield.nii.gz'), image)
  mkdirSync(join(folder, 'dots'))
  writeFileSync(join(folder, 'dots', 'kept.txt'), 'kept')
  await predicted(await weightsOf('dots', ct), '...nii.gz', { out: join(folder, 'dots') })
  expect(readdirSync(join(folder, 'dots')).sort()).toEqual(['...nii.gz', 'kept.txt'])
})

it('weights that classify scans are held against an archive, whose bytes are what they are', async () => {
  const archive = join(folder, 'images.npz')
  const data = Uint8Array.from({ length: 2 * 16 ** 3 }, (_, i) => i % 251)
  await writeNpz(archive, { test_images: { shape: [2, 16, 16, 16], data } })
  const scans = await predicted(await weightsOf('archive-ct', ct, classifier), 'images.npz')
  expect(scans.said).toMatch(/images.npz holds intensities from 0 to 255, and .*archive-ct.* was trained on CT:/)
  const bytes = await predicted(await weightsOf('archive', { window: [0, 255] }, classifier), 'images.npz')
  expect(bytes.said).not.toContain('may mean nothing')
})

it('weights that normalise by the batch are asked in batches as large as those they were trained with', async () => {
  const byBatch: NetworkShape = { ...unet, norm: 'batch' }
  const of = (batch: number, shape = byBatch) => weightsOf(`batch-${batch}-${shape.norm}`, ct, shape, { batch })
  const [ones, threes] = [await of(1), await of(3)]
  const values = async (weights: string | string[], given = {}) =>
    (await predicted(weights, 'hounsfield.nii.gz', { probabilities: true, ...given })).values
  const byOne = await values(ones)
  expect(byOne).toEqual(await values(threes, { batch: 1 }))
  expect(byOne).not.toEqual(await values(threes))
  expect(await values(threes)).toEqual(await values(ones, { batch: 3 }))
  await expect(values([ones, threes])).rejects.toMatchObject({ code: 'BAD_CHECKPOINT' })
  await expect(values([ones, threes])).rejects.toThrow(/batches of 3, and .* of 1, and both normalise by the batch/)
  // Running statistics do not ask what else is in a batch.
  await values([ones, await of(3, unet)])
})

it('what weights record is read as it was meant', () => {
  const of = (intensities: unknown) => recordedPreparation({ usage: { intensities } })
  expect(of(ct)).toEqual(ct)
  // Of a single MR scan its own quantiles are recorded, which are no other scan's.
  expect(of({ modality: 'mr', window: [3, 800] })).toEqual({ modality: 'mr' })
  expect(of({ modality: ['ct', 'mr'], window: 'each scan' })).toEqual({ modality: 'auto' })
  expect(of({ window: [0, 255] })).toEqual({ modality: 'auto', window: [0, 255] })
  for (const nothing of [undefined, null, 'x', { window: [5, 5] }, {}]) expect(of(nothing)).toBeUndefined()
})

it('probabilities are held one output at a time, however many there are', async () => {
  setFlagsFromString('--expose-gc')
  watched.collect = runInNewContext('gc') as () => void
  await writeImage('large', (random) => random.integer(0, 900), [64, 64, 64])
  const path = await weightsOf('many', mr, { ...unet, outputChannels: 16 })
  watched.bytes.length = 0
  const { said } = await predicted(path, 'large.nii.gz', { probabilities: true, overlap: 0, batch: 1 })
  watched.collect = () => {}
  expect(said).toContain('1 image in')
  expect(watched.bytes).toHaveLength(17)
  // Sixteen outputs would be 16 MiB all together; beside one there are the label map, and what was not yet collected.
  expect(Math.max(...watched.bytes)).toBeLessThan(8 * 4 * 64 ** 3)
})
