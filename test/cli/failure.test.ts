import { expect, it } from 'vitest'
import { explain } from '../../src/cli/failure.js'
import { SemgenError, shown } from '../../src/errors.js'

const native = (code: string) => Object.assign(new Error('The engine refused.'), { code })

it.each([
  ['a wrong option', new SemgenError('BAD_OPTION', 'No.'), 2, 'No.'],
  ['a bad file', new SemgenError('BAD_FILE', 'No.'), 1, 'No.'],
  ['work that was stopped', new SemgenError('ABORTED', 'Stopped by SIGINT.'), 130, 'Stopped by SIGINT.'],
  ['the engine', native('OUT_OF_MEMORY'), 1, 'The engine refused.'],
  ['the engine, stopped', native('ABORTED'), 130, 'The engine refused.'],
  ['a function of Node that was aborted', new DOMException('aborted', 'AbortError'), 130, 'Stopped.'],
])('explains %s', (_, error, exitCode, message) => {
  expect(explain(error)).toEqual({ exitCode, message })
})

it('explains what the system refused', () => {
  const refused = Object.assign(new Error("EACCES: permission denied, open 'x'"), { code: 'EACCES', syscall: 'open' })
  expect(explain(refused)).toEqual({ exitCode: 1, message: "EACCES: permission denied, open 'x'." })
})

it.each([new TypeError('x is not a function'), 'thrown text', undefined])(
  'says of %s that it is our mistake',
  (error) => {
    const { exitCode, message } = explain(error)
    expect(exitCode).toBe(1)
    expect(message).toContain('This is a mistake in semgen-native. Please report it')
  },
)

it('shows what strangers wrote on one line, and as nothing that steers a terminal', () => {
  expect(shown('name\n\u001b[31mred')).toBe('"name\\x0a\\x1b[31mred"')
  expect(shown('C:\\scans\\ü.nii')).toBe('"C:\\scans\\ü.nii"')
})
