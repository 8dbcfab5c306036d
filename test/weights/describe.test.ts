import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { weightsReport } from '../../src/cli/weights-report.js'
import { type NetworkShape, publishedUNet, publishedYNet, stateLayout } from '../../src/nn/index.js'
import { describeWeights, stateFromStored, type TensorToWrite, writeSafetensors } from '../../src/weights/index.js'
import { readSafetensors } from '../../src/weights/safetensors.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-weights-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A state dict of zeros, as PyTorch stores it. */
function zeros(shape: NetworkShape): Map<string, TensorToWrite> {
  const tensors = new Map<string, TensorToWrite>()
  for (const { key, shape: extents, dtype } of stateLayout(shape)) {
    const count = extents.reduce((a, b) => a * b, 1)
    tensors.set(
      key,
      dtype === 'i32'
        ? { dtype: 'I64', shape: [], data: new BigInt64Array(1) }
        : { dtype: 'F32', shape: extents, data: () => new Float32Array(count) },
    )
  }
  return tensors
}

describe('describeWeights', () => {
  // Published figures: U-Net 3D, and Y-Net 3D at 44 classes.
  it.each([
    ['U-Net', publishedUNet(), 106, 19_073_665],
    ['Y-Net', publishedYNet(44), 115, 33_277_613],
  ])('counts the keys and parameters of the published %s', async (name, shape, keys, parameters) => {
    const path = join(folder, `${name}.safetensors`)
    const tensors = zeros(shape)
    tensors.set('optimizer.step', { dtype: 'F32', shape: [1], data: Float32Array.of(3) })
    await writeSafetensors(path, tensors, { format: 'semgen-native weights', network: JSON.stringify(shape) })
    const found = await describeWeights(path)
    expect(found).toMatchObject({ path, keys, parameters, metadata: { network: shape } })
    expect(found.tensors.find(({ key }) => key === 'down_tr64.ops.0.bn1.num_batches_tracked')).toEqual({
      key: 'down_tr64.ops.0.bn1.num_batches_tracked',
      dtype: 'I64',
      shape: [],
      elements: 1,
      kind: 'statistic',
    })
    expect(found.tensors.filter(({ kind }) => kind === 'optimizer')).toHaveLength(1)
  })
})

it('metadata nested deeper than can be written again stay text', async () => {
  const path = join(folder, 'deep.safetensors')
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  await writeSafetensors(path, new Map(), { deep, list: '[[1],{"a":2}]', text: 'no JSON' })
  const found = await describeWeights(path)
  expect(found.metadata).toEqual({ deep, list: [[1], { a: 2 }], text: 'no JSON' })
  expect(JSON.parse(JSON.stringify(found, null, 2)).metadata.deep).toBe(deep)
  expect(weightsReport(found)).toContain(`deep: ${deep}`)
})

describe('stateFromStored', () => {
  const shape: NetworkShape = { ...publishedYNet(3), baseWidth: 2, depth: 2, patch: [8, 8, 8] }

  it('takes every tensor of the state dict, counters as i32', async () => {
    const path = join(folder, 'small.safetensors')
    const tensors = zeros(shape)
    tensors.set('clc_out.bn1.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(77n) })
    await writeSafetensors(path, tensors)
    const state = stateFromStored(path, shape, (await readSafetensors(path)).tensors)
    expect([...state.keys()]).toEqual(stateLayout(shape).map(({ key }) => key))
    expect(state.get('clc_out.bn1.num_batches_tracked')).toEqual(Int32Array.of(77))
  })

  it('refuses weights of another shape, and missing ones, naming the key', async () => {
    const path = join(folder, 'other.safetensors')
    await writeSafetensors(path, zeros(shape))
    const { tensors } = await readSafetensors(path)
    expect(() => stateFromStored(path, { ...shape, classes: 4 }, tensors)).toThrow(
      expect.objectContaining({ code: 'BAD_CHECKPOINT', message: expect.stringContaining('clc_out.fc1.weight') }),
    )
    tensors.delete('out_tr.final_conv.bias')
    expect(() => stateFromStored(path, shape, tensors)).toThrow(
      expect.objectContaining({ code: 'BAD_CHECKPOINT', message: expect.stringContaining('out_tr.final_conv.bias') }),
    )
  })
})
