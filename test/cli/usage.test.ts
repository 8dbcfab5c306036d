import { execSync, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root, semgen } from './run.js'

describe('a wrong command line', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semgen-cli-'))
    await writeFile(join(folder, 'key.yaml'), '# ours\njsn: true\n')
    await writeFile(join(folder, 'open.yaml'), 'json: [\n')
    await writeFile(join(folder, 'value.yaml'), 'json: perhaps\n')
  })
  afterAll(() => rm(folder, { recursive: true }))

  it.each<[string, string[], string]>([
    ['nothing to do', [], 'Say what to do: see semgen-native --help.'],
    ['a command misspelt', ['docto'], 'There is no such command; is doctor meant?'],
    ['a command that is none', ['xyzzy'], 'There is no command "xyzzy": see --help.'],
    ['an option misspelt', ['doctor', '--jsn'], 'There is no option --jsn; is --json meant?'],
    ['an option that is none', ['doctor', '--frobnicate', '3'], 'There is no option --frobnicate: see --help.'],
    ['a word too many', ['doctor', 'extra'], 'There is no place for "extra": see --help.'],
    ['half a command', ['weights'], 'Say which: semgen-native weights show|convert|diff|average.'],
    ['a file left out', ['weights', 'show'], 'FILE (a file of weights) must be given: see --help.'],
    ['a value left out', ['doctor', '--config'], '--config needs a value.'],
    ['a flag that is neither', ['doctor', '--json=maybe'], '--json takes true or false, not "maybe".'],
    [
      'an option given twice',
      ['inspect', 'x', '--seed', '1', '--seed', '2'],
      '--seed takes a whole number from 0, not ["1","2"].',
    ],
    ['a negative seed', ['inspect', 'x', '--seed', '-1'], '--seed takes a whole number from 0, not "-1".'],
    [
      'an option of another command',
      ['inspect', 'x', '--base-width', '3'],
      'There is no option --base-width: see --help.',
    ],
    ['an unknown key', ['doctor', '--config', 'key.yaml'], 'key.yaml:2: there is no option "jsn"; is "json" meant?'],
    ['bad YAML', ['doctor', '--config', 'open.yaml'], 'open.yaml:2 is not valid YAML:'],
    ['a bad value', ['doctor', '--config', 'value.yaml'], 'value.yaml:1: json takes true or false, not "perhaps".'],
  ])('%s: one sentence, exit code 2', async (_, args, sentence) => {
    const { code, out, err } = await semgen(args, { cwd: folder })
    expect(err).toMatch(/^error: [^\n]*\n$/)
    expect(err).toContain(`error: ${sentence}`)
    expect(out).toBe('')
    expect(code).toBe(2)
  })

  it('a bad variable is named; one of another command is not looked at', async () => {
    const bad = await semgen(['weights', 'show', 'x'], { env: { SEMGEN_JSON: 'perhaps' } })
    expect(bad).toEqual({ code: 2, out: '', err: 'error: SEMGEN_JSON takes true or false, not "perhaps".\n' })
    const other = await semgen(['--version'], { env: { SEMGEN_PATCH: 'nonsense' } })
    expect(other.code).toBe(0)
  })

  it('a file that is missing or no weights file: exit code 1', async () => {
    const missing = await semgen(['weights', 'show', 'none.safetensors'], { cwd: folder })
    expect(missing.code).toBe(1)
    expect(missing.err).toMatch(/^error: none\.safetensors could not be read: ENOENT[^\n]*\n$/)
    const other = await semgen(['weights', 'show', 'key.yaml'], { cwd: folder })
    expect(other.code).toBe(1)
    expect(other.err).toMatch(/^error: key\.yaml holds no weights in a format that is read[^\n]*\n$/)
  })

  it('ends well when its reader has seen enough, and says when nothing can be written', async () => {
    const program = `"${process.execPath}" "${join(root, 'bin/semgen-native.js')}" doctor --json`
    expect(execSync(`${program} | head -c 1`, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })).toBe('{')
    const full = spawnSync('sh', ['-c', `${program} > /dev/full`], { encoding: 'utf8' })
    expect([full.status, full.stderr]).toEqual([1, 'error: ENOSPC: no space left on device, write.\n'])
  })

  it('shows the stack only when asked', async () => {
    const { err } = await semgen(['weights', 'show', 'none'], { cwd: folder, env: { SEMGEN_DEBUG: '1' } })
    expect(err).toMatch(/\n {4}at /)
    expect(err).toContain('caused by: Error: ENOENT')
  })
})

describe('help', () => {
  it('names every command', async () => {
    const { code, out } = await semgen(['--help'])
    expect(code).toBe(0)
    for (const name of ['inspect', 'discover', 'train', 'report', 'phantom', 'weights', 'doctor', 'bench'])
      expect(out).toContain(`semgen-native ${name}`)
  })

  it('tells the version of package.json', async () => {
    expect((await semgen(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
