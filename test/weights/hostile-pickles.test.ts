import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openWeights } from '../../src/weights/index.js'
import { legacyMagic } from '../../src/weights/torch/torch-file.js'
import { zipBytes } from '../../src/weights/torch/zip-writer.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-hostile-'))
afterAll(() => rmSync(folder, { recursive: true }))

// Opcodes by the letters that pickletools knows them by; numbers are below 256.
const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`
const number = (value: number) => `K${String.fromCharCode(value)}`
const storage = `(${text('storage')}ctorch\nFloatStorage\n${text('0')}${text('cpu')}${number(4)}tQ`
/** A tensor of shape [4]; its lists are remembered as 1 and 2. */
const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${number(0)}]q\x01${number(4)}a]q\x02${number(1)}atR` /** A tuple that holds one tuple twice, which holds one twice...: 2 to the 40th letters, were it written out. */
const recalled = (place: number) => `h${String.fromCharCode(place)}`
const unfolding = `(${text('ab')}\x85q\0${Array.from({ length: 40 }, (_, k) => `${recalled(k)}${recalled(k)}\x86q${String.fromCharCode(k + 1)}`).join('')}t`

/** Opens a file of torch.save with such a pickle, and a storage "0" of the numbers 1 to 4. */
function opened(pickle: string) {
  const path = join(folder, 'a.pt')
  const member = (name: string, bytes: Buffer) => ({ name, bytes: bytes.length, content: () => bytes })
  const members = [
    member('a/data.pkl', Buffer.from(`\x80\x02${pickle}.`, 'latin1')),
    member('a/data/0', Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)),
  ]
  writeFileSync(path, Buffer.concat([...zipBytes(path, members)]))
  return openWeights(path)
}

it('a shape that grows after it was checked stays as it was', async () => {
  const grown = `${text('x')}h\x01${number(200)}as${text('y')}h\x02${number(0)}as`
  const file = await opened(`}${text('w')}${tensor}s${grown}`)
  expect(file.entries.get('w')!.shape).toEqual([4])
  expect(await file.read('w')).toMatchObject({ shape: [4], data: Float32Array.of(1, 2, 3, 4) })
  await file.close()
})

it('a list given to call after call counts each time', async () => {
  const pair = `${number(1)}${number(1)}\x86`
  const list = `]q\x01(${pair.repeat(2000)}e`
  const calls = (count: number) => `(${list}ccollections\nOrderedDict\nq\x02${'h\x02h\x01\x85R'.repeat(count)}t`
  await expect(opened(calls(1000))).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('more than 1000000 instructions and elements'),
  })
  // Within the budget it is read to its end, and found to be no dict.
  await expect(opened(calls(400))).rejects.toMatchObject({ code: 'BAD_FILE' })
})

it.each([
  ['the module of a function', `${unfolding}${text('n')}\x93`, 'names a function by what is no text'],
  ['the name of a function', `${text('m')}${unfolding}\x93`, 'names a function by what is no text'],
  ["NumPy's type", `cnumpy\ndtype\n${unfolding}\x85R`, 'whose name is no text'],
])('what unfolds without end is not written out as %s', async (_, pickle, why) => {
  await expect(opened(pickle)).rejects.toMatchObject({ code: 'BAD_FILE', message: expect.stringContaining(why) })
})

it('keys that are neither text nor number are passed over', async () => {
  const file = await opened(`}${text('w')}${tensor}s${unfolding}${number(1)}s${number(7)}${number(1)}s`)
  expect([...file.entries.keys()]).toEqual(['w'])
  expect(file.metadata).toEqual({ 7: '1' })
  await file.close()
  const nested = await opened(`}${unfolding}${tensor}s${number(7)}h\x01s${text('w')}${tensor}s`)
  expect([...nested.entries.keys()]).toEqual(['w'])
  await nested.close()
})

it('what a refusal shows is one short sentence, whatever it is', async () => {
  await expect(opened(`(${unfolding}tQ`)).rejects.toThrow(/: its pickle has the impossible storage a list\.$/)
  const legacy = (...pickles: string[]) => {
    const path = join(folder, 'legacy.pt')
    const rest = pickles.map((pickle) => `\x80\x02${pickle}.`).join('')
    writeFileSync(path, Buffer.concat([legacyMagic, Buffer.from(`.${rest}`, 'latin1')]))
    return openWeights(path)
  }
  const version = (pickle: string) => legacy(pickle, '}', '}', ']')
  await expect(version(`\x8a\x09${'\0'.repeat(8)}\x01`)).rejects.toThrow(/ version 18446744073709551616 of /)
  await expect(version(unfolding)).rejects.toThrow(/ version a list of /)
  const keys = legacy('M\xe9\x03', '}', `}${text('w')}${tensor}s`, `(${unfolding}t`)
  await expect(keys).rejects.toThrow(/ its storage a list belongs to no tensor\.$/)
})
