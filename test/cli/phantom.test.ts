import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root, semgen } from './run.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-cli-phantom-'))
})
afterAll(() => rm(folder, { recursive: true }))

it('makes scans, and says how many', async () => {
  const { code, out, err } = await semgen(
    ['phantom', '--out', 'scans', '--count', '2', '--size', '32x32x24', '--format', 'metaimage'],
    { cwd: folder },
  )
  expect({ code, out }).toEqual({ code: 0, out: 'scans: 2 scans, 2 of them new.\n' })
  expect(err).toContain('Phantoms: 2/2 scans')
  expect(readdirSync(join(folder, 'scans/images'))).toEqual(['PH_0001.mha', 'PH_0002.mha'])
})

it('refuses what it cannot use in one sentence', async () => {
  const { code, err } = await semgen(['phantom', '--out', 'never', '--count', '0'], { cwd: folder })
  expect({ code, err }).toEqual({ code: 2, err: 'error: --count takes a whole number from 1 to 100000, not "0".\n' })
  expect(existsSync(join(folder, 'never'))).toBe(false)
})

it('stops on Ctrl-C with whole files only', async () => {
  const images = join(folder, 'many/images')
  const child = spawn(
    process.execPath,
    [join(root, 'bin/semgen-native.js'), 'phantom', '--out', 'many', '--count', '1000', '--size', '48x40x36'],
    { cwd: folder, stdio: 'ignore' },
  )
  const closed = once(child, 'close')
  while (child.exitCode === null && !(existsSync(images) && readdirSync(images).includes('PH_0001.nii.gz')))
    await setTimeout(20)
  child.kill('SIGINT')
  expect((await closed)[0]).toBe(130)
  for (const name of readdirSync(images)) expect(name).toMatch(/^PH_\d{4}\.nii\.gz$/)
})
