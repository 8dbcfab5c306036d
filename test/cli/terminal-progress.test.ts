import { PassThrough } from 'node:stream'
import type { WriteStream } from 'node:tty'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { terminalProgress } from '../../src/cli/terminal-progress.js'

function recorder(isTTY: boolean): { stream: WriteStream; written(): string } {
  const stream = new PassThrough() as unknown as WriteStream
  Object.assign(stream, { isTTY, columns: 120 })
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return { stream, written: () => text }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('where there is no terminal', () => {
  it('prints a plain line every few seconds, and one at the end', async () => {
    const { stream, written } = recorder(false)
    const progress = terminalProgress(stream)
    progress.say('plan')
    progress.warn('a scan \u001b[2Jis bad')
    const task = progress.begin('training', 100, 'steps')
    for (let i = 0; i < 20; i++) {
      await vi.advanceTimersByTimeAsync(1000)
      task.advance(5, { loss: `0.${20 - i}` })
    }
    task.end()
    task.end()
    expect(written().split('\n')).toEqual([
      'plan',
      'warning: a scan \\x1b[2Jis bad',
      'training: 25/100 steps · loss 0.16 · 5 steps/s · 15 s left',
      'training: 50/100 steps · loss 0.11 · 5 steps/s · 10 s left',
      'training: 75/100 steps · loss 0.6 · 5 steps/s · 5.0 s left',
      'training: 100/100 steps · loss 0.1 · in 20 s',
      '',
    ])
  })
})

it('does not count what a resumed run had done before as speed', async () => {
  const { stream, written } = recorder(false)
  const task = terminalProgress(stream).begin('training', 100, 'steps')
  task.advance(60)
  for (let i = 0; i < 10; i++) {
    await vi.advanceTimersByTimeAsync(1000)
    task.advance()
  }
  expect(written()).toContain('training: 70/100 steps · 1 steps/s · 30 s left')
})

it('shows figures of what goes on between steps, and takes them away', async () => {
  const { stream, written } = recorder(false)
  const task = terminalProgress(stream).begin('training', 4, 'steps')
  for (const figures of [{}, { validating: '50 %' }, { validating: '' }, { loss: '0.1' }]) {
    await vi.advanceTimersByTimeAsync(5000)
    task.advance('validating' in figures ? 0 : 1, figures)
  }
  expect(written().split('\n')).toEqual([
    'training: 1/4 steps · 0.2 steps/s · 15 s left',
    'training: 1/4 steps · validating 50 % · 0.2 steps/s · 10 s left',
    'training: 1/4 steps · 0.2 steps/s · 5.0 s left',
    'training: 2/4 steps · loss 0.1 · 0.1 steps/s · 20 s left',
    '',
  ])
})

it('is over when it ends, not with its last step', async () => {
  const { stream, written } = recorder(false)
  const task = terminalProgress(stream).begin('training', 1, 'steps')
  task.advance()
  await vi.advanceTimersByTimeAsync(5000)
  task.advance(0, { validating: '50 %' })
  await vi.advanceTimersByTimeAsync(2000)
  task.advance(0, { validating: '' })
  task.end()
  expect(written().split('\n')).toEqual([
    'training: 1/1 steps · validating 50 % · 5.0 s so far',
    'training: 1/1 steps · in 7.0 s',
    '',
  ])
})

describe('on a terminal', () => {
  it('draws a bar for every open task and takes all of them away', async () => {
    const { stream, written } = recorder(true)
    const progress = terminalProgress(stream)
    const outer = progress.begin('epochs', 2, 'epochs')
    const inner = progress.begin('steps', 10, 'steps')
    await vi.advanceTimersByTimeAsync(1000)
    inner.advance(5, { loss: '0.5' })
    await vi.advanceTimersByTimeAsync(1000)
    expect(written()).toContain('epochs ░')
    expect(written()).toMatch(/steps █+░+ 5\/10 steps · loss 0\.5 · 5 steps\/s/)
    progress.say('between')
    inner.end()
    outer.end()
    const hidden = written().split('\u001b[?25l').length
    expect(written().split('\u001b[?25h').length).toBe(hidden)
    expect(written()).toMatch(/between\n/)
    expect(written()).toMatch(/epochs: 0\/2 epochs\n$/)
  })

  it('gives the screen back when work ends in the middle', async () => {
    const { stream, written } = recorder(true)
    const progress = terminalProgress(stream)
    progress.begin('steps', 10, 'steps')
    await vi.advanceTimersByTimeAsync(500)
    progress.close()
    expect(written()).toContain('\u001b[?25h')
    const before = written().length
    await vi.advanceTimersByTimeAsync(2000)
    expect(written().length).toBe(before)
  })
})
