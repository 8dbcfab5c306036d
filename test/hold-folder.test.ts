import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removeTemporary } from '../src/files.js'
import { holdFolder } from '../src/hold-folder.js'

let folder: string
let lock: string
const children: ChildProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-hold-'))
  lock = join(folder, '.lock')
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

/** A process that lives until it is killed. */
function other(): ChildProcess {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  children.push(child)
  return child
}

describe('a folder that is held', () => {
  it('is refused to others while its process lives, and taken over when that was killed', async () => {
    const child = other()
    writeFileSync(lock, `${child.pid}\n`)
    const refused = {
      code: 'BAD_OPTION',
      message: expect.stringContaining(`${folder} is in use by process ${child.pid}`),
    }
    await expect(holdFolder(folder)).rejects.toMatchObject(refused)
    expect(readFileSync(lock, 'utf8')).toBe(`${child.pid}\n`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const letGo = await holdFolder(folder)
    expect(readFileSync(lock, 'utf8')).toBe(`${process.pid}\n`)
    letGo()
    expect(readdirSync(folder)).toEqual([])
  })

  it('is refused to the same process a second time, until it is let go', async () => {
    const letGo = await holdFolder(join(folder, 'made'))
    await expect(holdFolder(join(folder, 'made'))).rejects.toThrow(`is in use by process ${process.pid}`)
    letGo()
    const again = await holdFolder(join(folder, 'made'))
    again()
  })

  it.each([
    ['of an earlier process with the same number', () => `${process.pid}\n`],
    ['without a number', () => ''],
  ])('is taken over from a lock %s', async (_, content) => {
    writeFileSync(lock, content())
    const letGo = await holdFolder(folder)
    expect(readFileSync(lock, 'utf8')).toBe(`${process.pid}\n`)
    letGo()
  })

  it('goes to one of several that find it left behind at once', async () => {
    const child = other()
    child.kill('SIGKILL')
    await once(child, 'exit')
    writeFileSync(lock, `${child.pid}\n`)
    const outcomes = await Promise.allSettled([holdFolder(folder), holdFolder(folder), holdFolder(folder)])
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('leaves the lock of another alone that has it now', async () => {
    const letGo = await holdFolder(folder)
    const child = other()
    writeFileSync(lock, `${child.pid}\n`)
    letGo()
    expect(existsSync(lock)).toBe(true)
  })

  it('is no file', async () => {
    writeFileSync(join(folder, 'file'), '')
    await expect(holdFolder(join(folder, 'file'))).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/file cannot be used for a run: /),
    })
  })
})

it('what was left half-written is removed, and nothing else', async () => {
  const kept = ['last.safetensors', '.hidden', '.mine.tmp', 'a.1a2b3c4d.tmp']
  for (const name of [...kept, '.last.safetensors.1a2b3c4d.tmp', '.config.json.00000000.tmp'])
    writeFileSync(join(folder, name), '')
  await removeTemporary(folder)
  expect(readdirSync(folder).sort()).toEqual([...kept].sort())
  await removeTemporary(join(folder, 'nowhere'))
})
