import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SemgenError } from '../../src/errors.js'
import { Random } from '../../src/random.js'
import { openWeights } from '../../src/weights/index.js'
import { lacking, runPython } from './python.js'

const absent = lacking('torch', 'numpy')
if (absent) console.info(`skipped: reading PyTorch's files: ${absent}`)

/** Reads every tensor of a file: by key, type, shape and bytes as hex. */
async function readAll(path: string) {
  const file = await openWeights(path)
  try {
    const tensors: Record<string, { dtype: string; shape: readonly number[]; hex: string }> = {}
    for (const key of file.entries.keys()) {
      const { dtype, shape, data } = await file.read(key)
      tensors[key] = { dtype, shape, hex: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex') }
    }
    return { format: file.format, metadata: file.metadata, tensors }
  } finally {
    await file.close()
  }
}

describe.skipIf(absent)('files of torch.save', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'semgen-torch-'))
    runPython('torch_files.py', folder)
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  const told = (name: string) => JSON.parse(readFileSync(at(`${name}.json`), 'utf8'))

  it.each([
    ['zip', 'PyTorch'],
    ['legacy', 'PyTorch (legacy layout)'],
    ['plain', 'PyTorch'],
    ['protocol4', 'PyTorch'],
    ['odd', 'PyTorch'],
    ['odd-legacy', 'PyTorch (legacy layout)'],
    ['nested', 'PyTorch'],
  ])('%s is read to the same bits', async (name, format) => {
    const seen = await readAll(at(`${name}.pt`))
    expect(seen.format).toBe(format)
    expect(seen.tensors).toEqual(told(name))
    expect(Object.keys(seen.tensors)).toEqual(Object.keys(told(name)))
  })

  it.each(['zip', 'legacy'])("%s: numbers beside the network are read, NumPy's too", async (name) => {
    expect((await readAll(at(`${name}.pt`))).metadata).toEqual({
      epoch: '12',
      num_epoch_no_improvement: '3',
      best_loss: '0.125',
      best_acc: '0.5',
    })
  })

  it.each([
    ['evil-zip.pt', 'posix.system'],
    ['evil-legacy.pt', 'posix.system'],
    ['evil-protocol4.pt', 'posix.system'],
    ['evil-module.pt', 'golden.YNet'],
    ['evil-array.pt', 'numpy.core.multiarray._reconstruct'],
    ['evil-bare.pt', 'bare pickle'],
    ['evil-script.pt', 'TorchScript'],
    ['lie-compressed.pt', 'compressed'],
    ['lie-endless.pt', 'instructions'],
  ])('%s is refused, saying why, and nothing of it runs', async (name, why) => {
    const error = await readAll(at(name)).catch((thrown) => thrown)
    expect(error).toMatchObject({ name: 'SemgenError', code: 'UNSUPPORTED' })
    expect(error.message).toContain(at(name))
    expect(error.message).toContain(why)
    expect(existsSync(at('ran'))).toBe(false)
  })

  it('the crafted files are there', () => {
    expect(readdirSync(folder).filter((name) => name.startsWith('lie-'))).toHaveLength(13)
  })

  it.each([
    ['lie-storage.pt', 'should have'],
    ['lie-shape.pt', 'does not lie within its storage'],
    ['lie-bomb.pt', 'does not lie within its storage'],
    ['lie-negative.pt', 'impossible'],
    ['lie-offset.pt', 'does not lie within its storage'],
    ['lie-type.pt', 'should have'],
    ['lie-missing.pt', 'is missing'],
    ['lie-short.pt', 'should have'],
    ['lie-text.pt', 'cut short'],
    ['lie-no-torch.pt', 'no data.pkl'],
    ['lie-twice.pt', 'two members'],
  ])('%s is refused as damaged', async (name, why) => {
    const error = await readAll(at(name)).catch((thrown) => thrown)
    expect(error).toMatchObject({ name: 'SemgenError', code: 'BAD_FILE' })
    expect(error.message).toContain(at(name))
    expect(error.message).toContain(why)
  })

  it.each(['small.pt', 'small-legacy.pt'])('%s cut anywhere is refused in a sentence', async (name) => {
    const whole = readFileSync(at(name))
    // Of less than its magic number a legacy file is a bare pickle.
    for (let bytes = 15; bytes < whole.length; bytes += 1 + Math.floor(whole.length / 150)) {
      writeFileSync(at('cut.pt'), whole.subarray(0, bytes))
      const error = await readAll(at('cut.pt')).catch((thrown) => thrown)
      expect(error, `${bytes} bytes`).toMatchObject({ name: 'SemgenError', code: 'BAD_FILE' })
    }
  })

  it.each(['small.pt', 'small-legacy.pt'])('%s with wrong bytes is read or refused', async (name) => {
    const whole = readFileSync(at(name))
    const random = new Random(3, 'wrong bytes')
    for (let round = 0; round < 400; round++) {
      const bytes = Uint8Array.from(whole)
      // Where the structure is: the first kilobytes, and the directory at the end.
      for (let i = 0; i < 3; i++) {
        const place = Math.floor(random.uniform(0, Math.min(whole.length, 8000)))
        bytes[round % 2 ? place : whole.length - 1 - Math.min(place, 400)] = Math.floor(random.uniform(0, 256))
      }
      writeFileSync(at('wrong.pt'), bytes)
      const result = await readAll(at('wrong.pt')).catch((thrown) => thrown)
      if (result instanceof Error) expect(result, result.stack).toBeInstanceOf(SemgenError)
    }
  })
})
