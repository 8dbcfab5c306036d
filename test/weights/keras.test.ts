import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EvaluationStep, Network } from '../../src/nn/index.js'
import { loadPartly, openWeights, shapeOfWeights } from '../../src/weights/index.js'
import { engines } from '../ops/harness.js'
import { lacking, runPython } from './python.js'

const absent = lacking('torch', 'numpy', 'h5py')
if (absent) console.info(`skipped: reading Keras's files: ${absent}`)

describe.skipIf(absent)('weights of Keras', () => {
  let folder: string
  let told: Record<string, number[]>
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'semgen-keras-'))
    runPython('keras_files.py', folder)
    told = JSON.parse(readFileSync(join(folder, 'told.json'), 'utf8'))
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each(['published', 'compressed', 'numbered', 'doubling'])('%s: says what the Keras network says', async (name) => {
    const file = await openWeights(join(folder, `${name}.h5`))
    try {
      const shape = shapeOfWeights(file)
      expect(shape).toMatchObject({ kind: 'u-net', baseWidth: 2, depth: 4, inputChannels: 1, outputChannels: 1 })
      expect(shape).toMatchObject({ skips: true, norm: 'running' })
      const engine = engines().find(({ device }) => device === 'cpu')!
      const network = new Network(engine, { ...shape, patch: [16, 16, 8] }, 1)
      const fit = await loadPartly(file, network)
      // Counters of batches are the only tensors that Keras has not.
      const others = fit.tensors.filter(({ outcome }) => outcome !== 'loaded')
      expect(others.every(({ key, outcome }) => outcome === 'missing' && key.endsWith('num_batches_tracked'))).toBe(
        true,
      )
      const step = new EvaluationStep(network, { batch: 2, restorationWeight: 1, classificationWeight: 0 })
      step.input.write(Float32Array.from(told.input!))
      await step.run()
      const restored = step.output!.read()
      // float32 rounding through 18 layers, against float64.
      for (const [i, expected] of told[name]!.entries()) expect(Math.abs(restored[i]! - expected)).toBeLessThan(1e-4)
      step.dispose()
    } finally {
      await file.close()
    }
  })

  it.each([
    ['wrong-pairs', 'no U-Net 3D'],
    ['wrong-type', 'float32 is read'],
    ['wrong-keras', 'layer_names'],
    ['linked', 'is missing'],
    ['huge', 'impossible shape'],
    ['bomb', 'are said to hold weights of'],
    ['outside', 'external raw data file'],
  ])('%s is refused in a sentence', async (name, why) => {
    const path = join(folder, `${name}.h5`)
    const read = async () => {
      const file = await openWeights(path)
      try {
        for (const key of file.entries.keys()) await file.read(key)
      } finally {
        await file.close()
      }
    }
    const error = await read().catch((thrown) => thrown)
    expect(error).toMatchObject({ name: 'SemgenError', code: 'BAD_FILE' })
    expect(error.message).toContain(path)
    expect(error.message).toContain(why)
    expect(error.message).not.toContain('\n')
  })

  it('a file cut anywhere is refused', async () => {
    const whole = readFileSync(join(folder, 'published.h5'))
    const path = join(folder, 'cut.h5')
    for (let bytes = 8; bytes < whole.length; bytes += 1 + Math.floor(whole.length / 40)) {
      writeFileSync(path, whole.subarray(0, bytes))
      await expect(openWeights(path), `${bytes} bytes`).rejects.toMatchObject({ code: 'BAD_FILE' })
    }
  })
})
