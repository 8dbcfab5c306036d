import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readSafetensors, SafetensorsFile, type TensorToWrite, writeSafetensors } from '../../src/weights/index.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-weights-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const sample = (): Map<string, TensorToWrite> =>
  new Map<string, TensorToWrite>([
    ['conv.weight', { dtype: 'F32', shape: [2, 1, 3], data: Float32Array.of(1, -2, 0.5, 3e38, -0, 7) }],
    ['bias', { dtype: 'F32', shape: [1], data: () => Float32Array.of(Math.fround(0.1)) }],
    ['count', { dtype: 'I64', shape: [], data: BigInt64Array.of(12345678901234n) }],
    ['half', { dtype: 'BF16', shape: [3], data: Uint16Array.of(0x3f80, 0xc000, 0) }],
    ['flags', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['empty', { dtype: 'I32', shape: [0, 4], data: new Int32Array(0) }],
  ])

/** Writes a file by the letter of the format, whatever the header says. */
function craft(header: unknown, data = new Uint8Array(0), name = 'crafted.safetensors'): string {
  const text = typeof header === 'string' ? header : JSON.stringify(header)
  const bytes = new TextEncoder().encode(text)
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length), true)
  const path = join(folder, name)
  writeFileSync(path, Buffer.concat([length, bytes, data]))
  return path
}

describe('safetensors', () => {
  it('gives back what was written, names in order, scalars and empty tensors too', async () => {
    const path = join(folder, 'a.safetensors')
    await writeSafetensors(path, sample(), { format: 'test', note: 'a "quoted" line\nand another, µ' })
    const { tensors, metadata } = await readSafetensors(path)
    expect(metadata).toEqual({ format: 'test', note: 'a "quoted" line\nand another, µ' })
    expect([...tensors.keys()]).toEqual([...sample().keys()])
    for (const [name, { dtype, shape, data }] of sample())
      expect(tensors.get(name)).toEqual({ dtype, shape, data: typeof data === 'function' ? data() : data })
    expect(readdirSync(folder)).toEqual(['a.safetensors'])
  })

  it('is what an independent parser reads, each tensor aligned to its elements', async (context) => {
    const path = join(folder, 'a.safetensors')
    await writeSafetensors(path, sample(), { format: 'test' })
    const script = `
import json, struct, sys
raw = open(sys.argv[1], 'rb').read()
(n,) = struct.unpack('<Q', raw[:8])
header = json.loads(raw[8:8 + n])
codes = {'F32': 'f', 'I64': 'q', 'I32': 'i', 'BF16': 'H', 'BOOL': '?'}
out = {'metadata': header.pop('__metadata__'), 'header': n % 8, 'end': len(raw) - 8 - n, 'tensors': {}}
for name, t in header.items():
    begin, end = t['data_offsets']
    size = struct.calcsize('<' + codes[t['dtype']])
    values = struct.unpack('<%d%s' % ((end - begin) // size, codes[t['dtype']]), raw[8 + n + begin: 8 + n + end])
    out['tensors'][name] = {'dtype': t['dtype'], 'shape': t['shape'], 'misaligned': (8 + n + begin) % size, 'values': values}
print(json.dumps(out))`
    let printed: string
    try {
      printed = execFileSync('/usr/bin/python3', ['-c', script, path], { encoding: 'utf8' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      return context.skip('python3, the independent parser, is not here')
    }
    const seen = JSON.parse(printed)
    expect(seen.metadata).toEqual({ format: 'test' })
    expect(seen.header).toBe(0)
    expect(seen.end).toBe(6 * 4 + 4 + 8 + 6 + 3)
    expect(Object.keys(seen.tensors)).toEqual([...sample().keys()])
    for (const [name, { dtype, shape, data }] of sample()) {
      const values = typeof data === 'function' ? data() : data
      expect(seen.tensors[name]).toMatchObject({ dtype, shape, misaligned: 0 })
      expect(seen.tensors[name].values.map(Number)).toEqual(Array.from(values as Float32Array, Number))
    }
  })

  it('reads a file laid out by the letter of the format', async () => {
    const data = new Uint8Array(12)
    new DataView(data.buffer).setFloat32(0, 1.5, true)
    new DataView(data.buffer).setInt32(4, -7, true)
    new DataView(data.buffer).setInt32(8, 9, true)
    const path = craft(
      {
        b: { dtype: 'I32', shape: [2], data_offsets: [4, 12] },
        a: { dtype: 'F32', shape: [1, 1], data_offsets: [0, 4] },
      },
      data,
    )
    const { tensors } = await readSafetensors(path)
    expect(tensors.get('a')).toEqual({ dtype: 'F32', shape: [1, 1], data: Float32Array.of(1.5) })
    expect(tensors.get('b')).toEqual({ dtype: 'I32', shape: [2], data: Int32Array.of(-7, 9) })
  })

  it('leaves the old file alone when the data are not what was announced', async () => {
    const path = join(folder, 'a.safetensors')
    await writeSafetensors(path, sample())
    const before = readFileSync(path)
    const wrong = new Map<string, TensorToWrite>([['x', { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2) }]])
    await expect(writeSafetensors(path, wrong)).rejects.toMatchObject({ code: 'BAD_OPTION' })
    expect(readFileSync(path).equals(before)).toBe(true)
    expect(readdirSync(folder)).toEqual(['a.safetensors'])
  })

  it('refuses a file cut anywhere, in one sentence that names it', async () => {
    const path = join(folder, 'a.safetensors')
    await writeSafetensors(path, sample())
    const { length } = readFileSync(path)
    for (const cut of [length - 1, length - 30, Math.floor(length / 2), 9, 8, 7, 0]) {
      await writeSafetensors(path, sample())
      truncateSync(path, cut)
      const error = await readSafetensors(path).catch((thrown) => thrown)
      expect(error, `cut at ${cut}`).toMatchObject({ name: 'SemgenError', code: 'BAD_FILE' })
      expect(error.message).toContain(path)
    }
  })

  const float = (offsets: unknown, shape: unknown = [1], dtype: unknown = 'F32') => ({
    dtype,
    shape,
    data_offsets: offsets,
  })
  const bad: [string, unknown, number][] = [
    ['overlapping tensors', { a: float([0, 8], [2]), b: float([4, 12], [2]) }, 12],
    ['one range given twice', { a: float([0, 4]), b: float([0, 4]) }, 4],
    ['a gap between tensors', { a: float([0, 4]), b: float([8, 12]) }, 12],
    ['bytes that no tensor has', { a: float([0, 4]) }, 8],
    ['a range past the end', { a: float([0, 4000], [1000]) }, 4],
    ['a shape that its range does not hold', { a: float([0, 4], [2]) }, 4],
    ['a shape whose product is past all numbers', { a: float([0, 4], [2 ** 52, 2 ** 52, 2 ** 52]) }, 4],
    ['a negative extent', { a: float([0, 4], [-1]) }, 4],
    ['a fractional extent', { a: float([0, 4], [0.5, 2]) }, 4],
    ['a range that ends before it begins', { a: float([4, 0]) }, 4],
    ['offsets that are not numbers', { a: float(['0', '4']) }, 4],
    ['an unknown dtype', { a: float([0, 4], [1], 'F31') }, 4],
    ['a dtype from the prototype', { a: float([0, 4], [1], 'toString') }, 4],
    ['an entry that is null', { a: null }, 0],
    ['metadata that are not strings', { __metadata__: { step: 3 } }, 0],
    ['a header that is an array', [], 0],
    ['a header that is no JSON', '{"a": ', 0],
    ['an empty header', '', 0],
  ]
  it.each(bad)('refuses %s', async (_, header, bytes) => {
    const path = craft(header, new Uint8Array(bytes))
    await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ name: 'SemgenError', code: 'BAD_FILE' })
  })

  it.each(['F8_E4M3', 'C64'])('says that %s is not read, which is no damage', async (dtype) => {
    const path = craft({ a: float([0, 8], [1], dtype) }, new Uint8Array(8))
    await expect(SafetensorsFile.open(path)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(`tensor "a" holds ${dtype}, which is not read`),
    })
  })

  it('refuses a header length that would have to be allocated', async () => {
    const path = join(folder, 'a.safetensors')
    for (const length of [2n ** 63n, 2n ** 40n, 50_000_000n]) {
      const bytes = new Uint8Array(16)
      new DataView(bytes.buffer).setBigUint64(0, length, true)
      writeFileSync(path, bytes)
      await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ code: 'BAD_FILE' })
    }
  })

  it('tells a missing file and a folder from a damaged file', async () => {
    await expect(readSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'IO' })
    await expect(readSafetensors(folder)).rejects.toMatchObject({ code: 'BAD_FILE' })
  })
})
