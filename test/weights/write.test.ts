import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EvaluationStep, Network, type NetworkShape, publishedYNet, stateLayout } from '../../src/nn/index.js'
import { Random } from '../../src/random.js'
import { compareWeights, convertWeights, readNetwork, writeNetwork, writeSafetensors } from '../../src/weights/index.js'
import { engines } from '../ops/harness.js'
import { lacking, runPython } from './python.js'

const absent = lacking('torch', 'numpy', 'onnx')
if (absent) console.info(`skipped: what PyTorch and ONNX make of written weights: ${absent}`)
const noRuntime = lacking('onnxruntime')
if (noRuntime) console.info(`skipped: ONNX Runtime on written models; PyTorch's operators take its place: ${noRuntime}`)

const ynet: NetworkShape = { ...publishedYNet(5), baseWidth: 4, norm: 'running' }
const unet: NetworkShape = { ...ynet, kind: 'u-net', classes: 0, depth: 3, inputChannels: 2, outputChannels: 3 }
/** Run on other extents than the patch that the files name: models take any. */
const jobs: { name: string; network: NetworkShape; shape: [number, number, number, number, number] }[] = [
  { name: 'y-net', network: ynet, shape: [2, 1, 16, 16, 8] },
  { name: 'y-net-batch', network: { ...ynet, norm: 'batch' }, shape: [3, 1, 8, 16, 8] },
  { name: 'u-net', network: unet, shape: [1, 2, 8, 16, 12] },
  { name: 'u-net-batch', network: { ...unet, norm: 'batch' }, shape: [2, 2, 8, 8, 8] },
  { name: 'auto-encoder', network: { ...unet, kind: 'auto-encoder', skips: false }, shape: [1, 2, 8, 8, 12] },
  { name: 'classifier', network: { ...ynet, kind: 'classifier', depth: 3 }, shape: [2, 1, 8, 12, 8] },
]

/** Weights of He's size, statistics and scales about 1: activations neither vanish nor grow. */
function lively(shape: NetworkShape): Map<string, Float32Array | Int32Array> {
  return new Map<string, Float32Array | Int32Array>(
    stateLayout(shape).map(({ key, shape: extents, dtype }): [string, Float32Array | Int32Array] => {
      const random = new Random(5, key)
      const count = extents.reduce((product, extent) => product * extent, 1)
      if (dtype === 'i32') return [key, Int32Array.of(12)]
      const size = Math.sqrt(6 / extents.slice(1).reduce((product, extent) => product * extent, 1))
      const positive = /bn1\.weight$|running_var$/.test(key)
      const draw = positive ? () => random.uniform(0.5, 1.5) : () => random.uniform(-size, size)
      return [key, Float32Array.from({ length: count }, extents.length > 1 || positive ? draw : () => draw() / 10)]
    }),
  )
}

/** What our engine makes of it, in PyTorch's order [N, C, X, Y, Z]. */
async function ours(
  network: NetworkShape,
  values: Map<string, Float32Array | Int32Array>,
  input: Float32Array,
  shape: number[],
) {
  const [batch, channels, ...patch] = shape as [number, number, number, number, number]
  const engine = engines().find(({ device }) => device === 'cpu')!
  const net = new Network(engine, { ...network, patch }, 0)
  net.load(values)
  const step = new EvaluationStep(net, {
    batch,
    restorationWeight: network.kind === 'classifier' ? 0 : 1,
    classificationWeight: network.classes > 0 ? 1 : 0,
  })
  const voxels = patch.reduce((product, extent) => product * extent, 1)
  step.input.write(turned(input, batch, channels, voxels))
  await step.run()
  const restored = step.output && turned(step.output.read(), batch, voxels, network.outputChannels)
  const logits = step.logits?.read()
  step.dispose()
  return { ...(restored ? { restored } : {}), ...(logits ? { logits } : {}) }
}

/** [N, rows, columns] -> [N, columns, rows] */
function turned(from: Float32Array, count: number, rows: number, columns: number): Float32Array {
  const to = new Float32Array(from.length)
  for (let n = 0; n < count; n++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) to[(n * columns + c) * rows + r] = from[(n * rows + r) * columns + c]!
  return to
}

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  expect(actual.length, what).toBe(expected.length)
  let worst = 0
  for (let i = 0; i < actual.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!))
  // float32 rounding (6e-8 of values of size about 1) through up to 18 layers whose sums have thousands of terms.
  expect(worst, what).toBeLessThan(1e-4)
}

type Outputs = Record<string, number[]>
interface Told {
  opset: number
  metadata: Record<string, string>
  rank: number[]
  torch: { usage: Record<string, string>; state: Record<string, [string, number[], string]>; keys?: string } & Outputs
  nodes: Outputs
  session?: Outputs
}

describe('written weights', () => {
  let folder: string
  let told: { runtime: string | null; jobs: Record<string, Told> }
  const inputs = new Map<string, Float32Array>()
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'semgen-write-'))
    for (const { name, network, shape } of jobs) {
      const random = new Random(9, name)
      const input = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.uniform(0, 1))
      inputs.set(name, input)
      writeFileSync(join(folder, `${name}.input`), new Uint8Array(input.buffer))
      const stored = { shape: network, values: lively(network), metadata: { spacing: '[1,1,2.5]', note: 'µ "quoted"' } }
      for (const ending of ['pt', 'onnx', 'safetensors']) await writeNetwork(join(folder, `${name}.${ending}`), stored)
    }
    const list = jobs.map(({ name, network, shape }) => {
      const { kind, baseWidth: width, classes, norm } = network
      return { name, kind, width, classes, norm, shape }
    })
    writeFileSync(join(folder, 'jobs.json'), JSON.stringify(list))
    if (!absent) told = JSON.parse(runPython('read_out.py', folder))
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  describe.each(jobs)('$name', ({ name, network, shape }) => {
    it.each(['pt', 'safetensors'])('comes back from .%s to the same bits, with how to use it', async (ending) => {
      const back = await readNetwork(join(folder, `${name}.${ending}`))
      expect(back.shape).toEqual(network)
      expect(back.values).toEqual(lively(network))
      expect(back.metadata).toMatchObject({ spacing: '[1,1,2.5]', note: 'µ "quoted"', norm: network.norm })
      expect(back.metadata).toMatchObject({ channels: String(network.inputChannels), patch: '[64,64,32]' })
    })

    it.skipIf(absent)('.pt holds the same bits for torch.load, and fits the published network', () => {
      const { state, usage, keys } = told.jobs[name]!.torch
      expect(usage).toMatchObject({ norm: network.norm, network: JSON.stringify(network), note: 'µ "quoted"' })
      expect(Object.keys(state)).toEqual(stateLayout(network).map(({ key }) => key))
      for (const [key, value] of lively(network)) {
        const [dtype, , hex] = state[key]!
        const stored = value instanceof Float32Array ? value : BigInt64Array.from(value, BigInt)
        expect(dtype, key).toBe(value instanceof Float32Array ? 'float32' : 'int64')
        expect(hex === Buffer.from(stored.buffer).toString('hex'), key).toBe(true)
      }
      expect(keys).toBe(network.kind === 'y-net' ? '<All keys matched successfully>' : undefined)
    })

    it.skipIf(absent)("computes the same here, in PyTorch's network and from the ONNX file", async () => {
      const { torch, nodes, session, opset, metadata, rank } = told.jobs[name]!
      const mine: Record<string, Float32Array> = await ours(network, lively(network), inputs.get(name)!, shape)
      expect(Object.keys(nodes).sort()).toEqual(Object.keys(mine).sort())
      for (const [output, values] of Object.entries(mine)) {
        expectNear(values, nodes[output]!, `${output} of the ONNX file by PyTorch's operators`)
        if (network.kind === 'y-net') expectNear(values, torch[output]!, `${output} of PyTorch's network`)
        if (session) expectNear(values, session[output]!, `${output} in ONNX Runtime ${told.runtime}`)
      }
      expect(opset).toBe(17)
      expect(metadata).toMatchObject({ norm: network.norm, patch: '[64,64,32]', spacing: '[1,1,2.5]' })
      expect(rank).toEqual({ 'y-net': [2, 5], classifier: [2] }[network.kind as string] ?? [5])
    })
  })

  it('the same weights give the same bytes', async () => {
    const stored = { shape: ynet, values: lively(ynet), metadata: {} }
    for (const ending of ['pt', 'onnx', 'safetensors']) {
      for (const copy of ['a', 'b']) await writeNetwork(join(folder, `${copy}.${ending}`), stored)
      const [a, b] = ['a', 'b'].map((copy) => readFileSync(join(folder, `${copy}.${ending}`)))
      expect(a!.equals(b!)).toBe(true)
    }
    expect(readdirSync(folder).filter((file) => file.endsWith('.tmp'))).toEqual([])
  })

  it('formats of the same weights do not differ, and a changed number is found', async () => {
    const [pt, other] = [join(folder, 'y-net.pt'), join(folder, 'changed.safetensors')]
    expect(await compareWeights(join(folder, 'y-net.safetensors'), pt)).toMatchObject({
      same: true,
      onlyA: [],
      onlyB: [],
    })
    const values = lively(ynet)
    const key = 'up_tr64.ops.1.conv1.weight'
    const before = values.get(key)!
    values.set(
      key,
      Float32Array.from(before, (value, i) => (i === 7 ? value + 0.5 : value)),
    )
    await writeNetwork(other, { shape: ynet, values, metadata: {} })
    const { same, tensors } = await compareWeights(pt, other)
    expect(same).toBe(false)
    const [found, ...more] = tensors.filter(({ different }) => different > 0)
    expect(more).toEqual([])
    expect(found).toMatchObject({ key, different: 1, elements: before.length })
    // A float32 of size below 2 changed by 0.5: right to its rounding.
    expect(found!.largest).toBeCloseTo(0.5, 6)
    expect(found!.relative).toBeCloseTo(0.5 / Math.hypot(...before), 6)
  })

  it('differences of keys and shapes are told', async () => {
    const found = await compareWeights(join(folder, 'u-net.pt'), join(folder, 'auto-encoder.pt'))
    expect(found).toMatchObject({ same: false, onlyA: [], onlyB: [] })
    expect(found.otherShape.map(({ key }) => key)).toEqual([
      'up_tr128.ops.0.conv1.weight',
      'up_tr64.ops.0.conv1.weight',
    ])
    const { onlyA } = await compareWeights(join(folder, 'y-net.pt'), join(folder, 'classifier.pt'))
    expect(onlyA).toContain('clc_out.fc1.weight')
  })

  it('a key that is there with and without the prefix is two keys', async () => {
    const [one, two] = [join(folder, 'prefixed.safetensors'), join(folder, 'both.safetensors')]
    const tensor = (value: number) => ({ dtype: 'F32' as const, shape: [1], data: Float32Array.of(value) })
    const first = 'down_tr64.ops.0.conv1.weight'
    const tensors = new Map([`module.${first}`, 'module.a', 'module.b'].map((key) => [key, tensor(1)]))
    await writeSafetensors(one, tensors)
    await writeSafetensors(two, new Map([...tensors, ['a', tensor(2)]]))
    const { same, onlyA, onlyB, tensors: alike } = await compareWeights(one, two)
    expect({ same, onlyA, onlyB }).toEqual({ same: false, onlyA: [], onlyB: ['module.a'] })
    expect(alike.map(({ key, different }) => [key, different])).toEqual([
      [first, 0],
      ['a', 1],
      ['b', 0],
    ])
  })

  it('64-bit integers are compared to the last bit', async () => {
    const paths = [join(folder, 'long-a.safetensors'), join(folder, 'long-b.safetensors')] as const
    for (const [i, path] of paths.entries()) {
      const data = BigInt64Array.of(2n ** 60n + BigInt(i), -5n, BigInt(3 * i))
      await writeSafetensors(path, new Map([['count', { dtype: 'I64', shape: [3], data }]]))
    }
    const { same, tensors } = await compareWeights(...paths)
    expect(same).toBe(false)
    expect(tensors).toMatchObject([{ key: 'count', elements: 3, different: 2, largest: 3 }])
  })

  it('refuses other endings and formats that cannot hold it', async () => {
    const stored = { shape: ynet, values: lively(ynet), metadata: {} }
    await expect(writeNetwork(join(folder, 'w.h5'), stored)).rejects.toMatchObject({ code: 'BAD_OPTION' })
  })

  it('a patch that the network cannot halve is refused before a file is there that nothing reads', async () => {
    const [file, out] = [join(folder, 'whole.safetensors'), join(folder, 'odd.safetensors')]
    await writeNetwork(file, { shape: ynet, values: lively(ynet), metadata: {} })
    await expect(convertWeights({ file, out, patch: [15, 15, 15], force: false })).rejects.toThrow(
      /--patch takes extents that are multiples of 8 .*, not 15x15x15/,
    )
    expect(readdirSync(folder)).not.toContain('odd.safetensors')
    await convertWeights({ file, out, patch: [16, 24, 8], force: false })
    expect((await readNetwork(out)).shape.patch).toEqual([16, 24, 8])
  })
})
