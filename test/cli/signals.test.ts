import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { root } from './run.js'

/** A program that works until it is told to stop, and then for as long as `stubborn` says. */
const program = (stubborn: boolean) => `
import { listenForSignals } from ${JSON.stringify(pathToFileURL(join(root, 'dist/src/cli/signals.js')).href)}
const { signal } = listenForSignals(console.log)
const work = setInterval(() => {}, 1000)
signal.addEventListener('abort', () => { if (!${stubborn}) { clearInterval(work); console.log(signal.reason.message) } })
console.log('ready')`

function start(stubborn: boolean): { child: ChildProcess; printed(text: string): Promise<void>; all(): string } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program(stubborn)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const printed = async (text: string) => {
    while (!out.includes(text)) await once(child.stdout!, 'data')
  }
  return { child, printed, all: () => out }
}

describe.each(['SIGINT', 'SIGTERM'] as const)('%s', (name) => {
  it('asks work to stop', async () => {
    const { child, printed, all } = start(false)
    await printed('ready')
    child.kill(name)
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(all()).toContain(`${name} received: stopping as soon as it is safe.`)
    expect(all()).toContain(`Stopped by ${name}.`)
  })

  it('ends the program at once when it comes again', async () => {
    const { child, printed } = start(true)
    await printed('ready')
    child.kill(name)
    await printed('received')
    child.kill(name)
    expect(await once(child, 'exit')).toEqual([130, null])
  })
})

it('a command that is stopped exits with 130, in one sentence', async () => {
  const child = spawn(process.execPath, [join(root, 'bin/semgen-native.js'), 'bench', 'step'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  // Until the benchmark's own process is there, which must go as well.
  while (readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8') === '') await setTimeout(50)
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([130, null])
  expect(err).toBe(
    'warning: SIGTERM received: stopping as soon as it is safe. Once more stops at once.\nerror: Stopped by SIGTERM.\n',
  )
})
