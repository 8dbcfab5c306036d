import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeSafetensors } from '../../src/weights/index.js'
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
