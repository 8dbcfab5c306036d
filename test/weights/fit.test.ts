import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type NetworkShape, publishedUNet, publishedYNet, stateLayout } from '../../src/nn/index.js'
import { Random } from '../../src/random.js'
import {
  fitLines,
  fitWeights,
  openWeights,
  shapeOfWeights,
  type TensorToWrite,
  writeSafetensors,
} from '../../src/weights/index.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-fit-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const small: NetworkShape = { ...publishedYNet(5), baseWidth: 2, depth: 3, patch: [16, 16, 8] }

/** The state dict of a network, with numbers of its own, under keys that `rename` makes. */
function state(shape: NetworkShape, rename = (key: string): string | undefined => key): Map<string, TensorToWrite> {
  const random = new Random(1, 'state')
  const tensors = new Map<string, TensorToWrite>()
  for (const { key, shape: extents, dtype } of stateLayout(shape)) {
    const name = rename(key)
    if (name === undefined) continue
    const count = extents.reduce((product, extent) => product * extent, 1)
    const data = Float32Array.from({ length: count }, () => random.uniform(-1, 1))
    tensors.set(
      name,
      dtype === 'i32'
        ? { dtype: 'I64', shape: [], data: BigInt64Array.of(9n) }
        : { dtype: 'F32', shape: extents, data },
    )
  }
  return tensors
}

async function fitted(tensors: Map<string, TensorToWrite>, shape: NetworkShape, except?: (key: string) => boolean) {
  const path = join(folder, 'w.safetensors')
  await writeSafetensors(path, tensors)
  const file = await openWeights(path)
  try {
    return await fitWeights(file, shape, except)
  } finally {
    await file.close()
  }
}

const outcomes = ({ fit }: Awaited<ReturnType<typeof fitted>>) =>
  Object.fromEntries(
    (['loaded', 'renamed', 'adapted', 'skipped', 'missing'] as const).map((outcome) => [
      outcome,
      fit.tensors.filter((tensor) => tensor.outcome === outcome).map(({ key }) => key),
    ]),
  )

describe('fitWeights', () => {
  it('takes every tensor of the same network', async () => {
    const given = state(small)
    const { values, fit } = await fitted(given, small)
    expect([...values.keys()]).toEqual(stateLayout(small).map(({ key }) => key))
    for (const [key, value] of values)
      expect(Array.from(value)).toEqual(Array.from(given.get(key)!.data as Float32Array, Number))
    expect(fit.taken).toBe(fit.total)
  })

  it.each(['module.', 'classficationNet.', 'module.classficationNet.'])(
    'takes keys that begin with %s',
    async (prefix) => {
      const result = await fitted(
        state(small, (key) => prefix + key),
        small,
      )
      expect(outcomes(result).renamed).toEqual(stateLayout(small).map(({ key }) => key))
      expect(fitLines(result.fit)[1]).toContain(`"${prefix}" before it there`)
    },
  )

  it('takes a U-Net into a Y-Net, and tells what is missing', async () => {
    const result = await fitted(state({ ...publishedUNet(), ...small, kind: 'u-net', classes: 0 }), small)
    expect(outcomes(result)).toMatchObject({ renamed: [], adapted: [], skipped: [] })
    expect(outcomes(result).missing!.every((key) => key.startsWith('clc_out.'))).toBe(true)
  })

  it('skips heads of other methods', async () => {
    const tensors = state(small)
    tensors.set('projection_head.0.weight', { dtype: 'F32', shape: [1], data: Float32Array.of(1) })
    const result = await fitted(tensors, small)
    expect(outcomes(result).skipped).toEqual(['projection_head.0.weight'])
    expect(result.fit.taken).toBe(result.fit.total)
  })

  it('spreads the first layer over other channels, so that an image in all of them gives the same', async () => {
    const given = state({ ...small, inputChannels: 2 })
    const result = await fitted(given, { ...small, inputChannels: 3 })
    expect(outcomes(result).adapted).toEqual(['down_tr64.ops.0.conv1.weight'])
    const before = given.get('down_tr64.ops.0.conv1.weight')!.data as Float32Array
    const after = result.values.get('down_tr64.ops.0.conv1.weight')!
    for (let o = 0; o < 2; o++)
      for (let tap = 0; tap < 27; tap++) {
        const old = before[(2 * o + 0) * 27 + tap]! + before[(2 * o + 1) * 27 + tap]!
        const now = [0, 1, 2].map((i) => after[(3 * o + i) * 27 + tap]!)
        // A sum of three float32 of size up to 1.
        expect(now[0]! + now[1]! + now[2]!).toBeCloseTo(old, 6)
        expect(now[1]).toBe(now[0])
      }
  })

  it('starts layers of another number of outputs afresh', async () => {
    const result = await fitted(state(small), { ...small, outputChannels: 2, classes: 4 })
    expect(outcomes(result).skipped).toEqual([
      'out_tr.final_conv.weight',
      'out_tr.final_conv.bias',
      'clc_out.fc1.weight',
      'clc_out.fc1.bias',
    ])
    expect(fitLines(result.fit).join('\n')).toContain('1 outputs there, 2 here: starts fresh')
  })

  it('leaves out what it is told to', async () => {
    const result = await fitted(state(small), small, (key) => key.startsWith('up_tr'))
    expect(outcomes(result).skipped!.every((key) => key.startsWith('up_tr'))).toBe(true)
    expect([...result.values.keys()].some((key) => key.startsWith('up_tr'))).toBe(false)
  })

  it('reads halves and doubles', async () => {
    const tensors = state(small)
    const bias = 'down_tr64.ops.0.conv1.bias'
    const gamma = 'down_tr64.ops.0.bn1.weight'
    const beta = 'down_tr64.ops.0.bn1.bias'
    tensors.set(bias, { dtype: 'F16', shape: [2], data: Uint16Array.of(0xc100, 0x0001) })
    tensors.set(gamma, { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3fc0, 0xc080) })
    tensors.set(beta, { dtype: 'F64', shape: [2], data: Float64Array.of(0.1, -4) })
    const { values, fit } = await fitted(tensors, small)
    expect(Array.from(values.get(bias)!)).toEqual([-2.5, 2 ** -24])
    expect(Array.from(values.get(gamma)!)).toEqual([1.5, -4])
    expect(Array.from(values.get(beta)!)).toEqual([Math.fround(0.1), -4])
    expect(fit.tensors.filter(({ outcome }) => outcome === 'adapted').map(({ note }) => note)).toEqual([
      'from F16',
      'from BF16',
      'from F64',
    ])
  })

  it('refuses what shares nothing, and what holds two networks', async () => {
    const other = new Map<string, TensorToWrite>([['a', { dtype: 'F32', shape: [1], data: Float32Array.of(1) }]])
    await expect(fitted(other, small)).rejects.toMatchObject({ code: 'BAD_CHECKPOINT' })
    await expect(fitted(state(small), { ...small, baseWidth: 16 })).rejects.toMatchObject({ code: 'BAD_CHECKPOINT' })
    const two = new Map([...state(small, (key) => `teacher.${key}`), ...state(small, (key) => `student.${key}`)])
    await expect(fitted(two, small)).rejects.toThrow(/2 networks.*"teacher.", "student."/)
  })
})

it.each([Number.NaN, Number.POSITIVE_INFINITY])('weights of %s are refused by name', async (value) => {
  const tensors = state(small)
  const key = 'down_tr64.ops.0.conv1.weight'
  const { shape, data } = tensors.get(key)!
  tensors.set(key, { dtype: 'F32', shape, data: (data as Float32Array).with(3, value) })
  await expect(fitted(tensors, small)).rejects.toMatchObject({
    code: 'BAD_CHECKPOINT',
    message: expect.stringMatching(
      /w\.safetensors holds values in "down_tr64\.ops\.0\.conv1\.weight" that are no finite/,
    ),
  })
})

it('tensors without number are told in a line', () => {
  const tensors = Array.from({ length: 60_000 }, (_, i) => ({
    key: `t${i}`,
    outcome: 'skipped' as const,
    note: 'not in this network',
    elements: 1,
  }))
  const lines = fitLines({ path: 'a.safetensors', tensors, taken: 0, total: 1 })
  expect(lines[1]).toBe('skipped  not in this network: t0 and 59999 more, to t59999')
})

describe('shapeOfWeights', () => {
  it.each([
    ['Y-Net', small],
    ['U-Net', { ...small, kind: 'u-net', classes: 0, skips: true, inputChannels: 4, outputChannels: 3 }],
    ['auto-encoder', { ...small, kind: 'auto-encoder', classes: 0, skips: false, norm: 'running' }],
    ['classifier', { ...small, kind: 'classifier', depth: 4 }],
  ] as [string, NetworkShape][])('tells a %s from its keys', async (_, shape) => {
    const path = join(folder, 'shape.safetensors')
    await writeSafetensors(
      path,
      state(shape, (key) => `module.${key}`),
      { network: JSON.stringify(shape) },
    )
    const file = await openWeights(path)
    expect(shapeOfWeights(file)).toEqual(shape)
    await file.close()
  })

  it('takes the published patch and normalisation where a file says nothing', async () => {
    const path = join(folder, 'bare.safetensors')
    await writeSafetensors(path, state(small))
    const file = await openWeights(path)
    expect(shapeOfWeights(file)).toEqual({ ...small, patch: [64, 64, 32], norm: 'batch' })
    await file.close()
  })
})
