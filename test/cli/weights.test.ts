import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type NetworkShape, publishedUNet, stateLayout } from '../../src/nn/index.js'
import { writeNetwork, writeSafetensors } from '../../src/weights/index.js'
import { zipBytes } from '../../src/weights/torch/zip-writer.js'
import { semgen } from './run.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-weights-'))
  const tensors = new Map([
    ['fc.weight', { dtype: 'F32' as const, shape: [2, 3], data: new Float32Array(6) }],
    ['fc.bias', { dtype: 'F32' as const, shape: [2], data: new Float32Array(2) }],
    ['bn.running_mean', { dtype: 'F32' as const, shape: [2], data: new Float32Array(2) }],
  ])
  await writeSafetensors(join(folder, 'w.safetensors'), tensors, { note: '\u001b[31mred', network: '{"kind":"u-net"}' })
})
const shape: NetworkShape = { ...publishedUNet(), baseWidth: 2, depth: 2, patch: [16, 16, 16] }
/** A network whose every number is `value`. */
const filled = (value: number) =>
  new Map<string, Float32Array | Int32Array>(
    stateLayout(shape).map(({ key, shape: extents, dtype }): [string, Float32Array | Int32Array] => {
      const count = extents.reduce((product, extent) => product * extent, 1)
      return [key, dtype === 'i32' ? Int32Array.of(value) : new Float32Array(count).fill(value)]
    }),
  )

afterAll(() => rm(folder, { recursive: true }))

it('shows the tensors of a file as a table', async () => {
  const { code, out, err } = await semgen(['weights', 'show', 'w.safetensors'], { cwd: folder })
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^fc\.weight +F32 +2x3 +6$/m)
  expect(out).toMatch(/^bn\.running_mean +F32 +2 +2 +statistic$/m)
  expect(out).toContain('3 keys of the network, 8 parameters')
  // What a stranger's file says cannot steer the terminal.
  expect(out).toContain('note: \\x1b[31mred')
})

it('and as JSON', async () => {
  const { out } = await semgen(['weights', 'show', 'w.safetensors', '--json'], { cwd: folder })
  expect(JSON.parse(out)).toMatchObject({
    keys: 3,
    parameters: 8,
    tensors: [{ key: 'fc.weight', dtype: 'F32', shape: [2, 3], elements: 6, kind: 'parameter' }, {}, {}],
    metadata: { network: { kind: 'u-net' } },
  })
})

it('converts, compares and averages', async () => {
  const metadata = { intensities: '{"window":[-1000,1000]}', stage: 'combined', epoch: '7', figures: '{"loss":1}' }
  for (const [name, value] of [
    ['one', 1],
    ['four', 4],
  ] as const)
    await writeNetwork(join(folder, `${name}.safetensors`), { shape, values: filled(value), metadata })
  const run = (...args: string[]) => semgen(['weights', ...args], { cwd: folder })

  const converted = await run('convert', 'one.safetensors', '--out', 'one.pt', '--spacing', '1x1x2.5')
  expect(converted).toMatchObject({ code: 0, out: 'one.pt\n' })
  expect(converted.err).toContain('100.0 % of the network')
  expect(converted.err).not.toContain('not recorded')
  const shown = JSON.parse((await run('show', 'one.pt', '--json')).out)
  expect(shown).toMatchObject({
    format: 'PyTorch',
    metadata: { spacing: [1, 1, 2.5], patch: [16, 16, 16], channels: 1 },
  })

  const again = await run('convert', 'one.safetensors', '--out', 'one.pt')
  expect(again.code).not.toBe(0)
  expect(again.err).toContain('one.pt is there already')
  expect((await run('convert', 'one.safetensors', '--out', 'one.pt', '--force')).code).toBe(0)
  expect((await run('convert', 'one.safetensors', '--out', 'one.onnx')).code).toBe(0)
  expect((await run('convert', 'w.safetensors', '--out', 'w.onnx')).err).toContain('no network of this program')

  expect((await run('diff', 'one.pt', 'one.safetensors')).out).toMatch(/hold the same \d+ tensors/)
  expect((await run('diff', 'one.pt')).err).toContain('takes two files, not 1')
  const average = await run('average', 'one.safetensors', 'four.safetensors', 'one.pt', '--out', 'soup.safetensors')
  expect(average).toMatchObject({ code: 0, out: 'soup.safetensors\n' })
  const said = JSON.parse((await run('show', 'soup.safetensors', '--json')).out).metadata
  expect(said).toMatchObject({ intensities: { window: [-1000, 1000] }, average: '3 networks' })
  for (const own of ['source', 'stage', 'epoch', 'figures']) expect(said).not.toHaveProperty(own)
  const { tensors } = JSON.parse((await run('diff', 'one.pt', 'soup.safetensors', '--json')).out)
  for (const { key, different, elements, largest } of tensors) {
    expect(different).toBe(elements)
    // (1 + 4 + 1) / 3 - 1, and the largest of the counters, 4, less 1.
    expect(largest).toBe(key.endsWith('num_batches_tracked') ? 3 : 1)
  }
  const text = (await run('diff', 'one.pt', 'soup.safetensors')).out
  expect(text).toMatch(/down_tr64.ops.0.conv1.weight +54 of 54 +1 +1/)
  const other = await run('average', 'one.pt', 'w.safetensors', '--out', 'no.safetensors')
  expect(other.err).toContain('w.safetensors')
}, 60_000)

it('refuses a pickle that wants to run code, and a cut file, in a sentence each', async () => {
  // What os.system("touch ran") is pickled to.
  const pickle = Buffer.from('\x80\x02cposix\nsystem\n(X\x09\x00\x00\x00touch rantR.', 'latin1')
  const member = { name: 'archive/data.pkl', bytes: pickle.length, content: () => pickle }
  await writeFile(join(folder, 'evil.pt'), Buffer.concat([...zipBytes('evil.pt', [member])]))
  await writeNetwork(join(folder, 'whole.pt'), { shape, values: filled(1), metadata: {} })
  await writeFile(join(folder, 'cut.pt'), (await readFile(join(folder, 'whole.pt'))).subarray(0, 9000))
  for (const args of [['show'], ['diff', 'whole.pt'], ['convert', '--out', 'out.onnx']]) {
    const [name, ...more] = args
    const evil = await semgen(['weights', name!, ...more, 'evil.pt'], { cwd: folder })
    expect(evil).toMatchObject({ code: 1, out: '' })
    expect(evil.err).toMatch(/^error: evil\.pt was refused: its pickle asks for posix\.system, [^\n]*\n$/)
    const cut = await semgen(['weights', name!, ...more, 'cut.pt'], { cwd: folder })
    expect(cut).toMatchObject({ code: 1, out: '' })
    expect(cut.err).toMatch(/^error: cut\.pt is cut short or damaged: [^\n]*\n$/)
  }
  expect((await readdir(folder)).filter((name) => name === 'ran' || name.startsWith('out'))).toEqual([])
}, 60_000)
