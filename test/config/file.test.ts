import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { extents, fileLayer, flag, option, resolveOptions, whole } from '../../src/config/index.js'

const table = {
  patch: option(extents(1, 512), [64, 64, 32], 'Crop.'),
  baseWidth: option(whole(1, 100), 32, 'Channels.'),
  resume: option(flag, false, 'Go on.'),
}

describe('a configuration file', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semgen-config-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const read = async (content: string) => {
    const path = join(folder, 'run.yaml')
    await writeFile(path, content)
    return resolveOptions(table, await fileLayer(table, path))
  }

  it('gives options under both spellings, as text or as lists', async () => {
    const expected = { patch: [16, 16, 8], baseWidth: 8, resume: true }
    expect(await read('# a comment\npatch: 16x16x8\nbase-width: 8\nresume: true\n')).toEqual(expected)
    expect(await read('patch: [16, 16, 8]\nbaseWidth: 8\nresume: true\n')).toEqual(expected)
    expect(await read('{"patch": [16, 16, 8], "baseWidth": 8, "resume": true}')).toEqual(expected)
  })

  it('may be the config.json of a run', async () => {
    const saved = { version: 1, options: { patch: [16, 16, 8], baseWidth: 8, resume: true }, chosen: { batch: 3 } }
    // What was done with that run's own folder is not asked of another's.
    expect(await read(JSON.stringify(saved, null, 1))).toEqual({ ...saved.options, resume: false })
  })

  it('may be empty, and a key may have no value', async () => {
    const defaults = { patch: [64, 64, 32], baseWidth: 32, resume: false }
    expect(await read('')).toEqual(defaults)
    expect(await read('patch:\n')).toEqual(defaults)
  })

  it.each([
    ['an unknown key', 'resume: true\npach: 1\n', 'run.yaml:2: there is no option "pach"; is "patch" meant?'],
    ['a key far from all', 'colour: red\n', 'run.yaml:1: there is no option "colour".'],
    [
      'a bad value',
      '\n\npatch: 64x64\n',
      'run.yaml:3: patch takes three whole numbers from 1 to 512, such as 64x64x32, not "64x64".',
    ],
    ['a nested value', 'baseWidth: {a: 1}\n', 'run.yaml:1: baseWidth takes a whole number from 1 to 100, not {"a":1}.'],
    ['a key given twice', 'base-width: 1\nbaseWidth: 2\n', 'run.yaml:2: "baseWidth" is set twice.'],
    ['the same key twice', 'patch: 1x1x1\npatch: 2x2x2\n', 'run.yaml:2 is not valid YAML: Map keys must be unique.'],
    ['an open bracket', 'patch: [1, 2\n', 'run.yaml:2 is not valid YAML:'],
    ['an alias to nothing', 'patch: *other\n', 'run.yaml:1 is not valid YAML: Unresolved alias'],
    ['a list', '- patch\n', 'run.yaml must hold lines of the form "option: value".'],
    ['a text', 'hello', 'run.yaml must hold lines of the form "option: value".'],
    ['a prototype’s key', '__proto__: 1\n', 'run.yaml:1: there is no option "__proto__".'],
  ])('is refused for %s', async (_, content, message) => {
    await expect(read(content)).rejects.toThrow(message)
  })

  it('is refused when its aliases would unfold without end', async () => {
    const names = 'abcdefghijklmnopqrst'.split('')
    const unfolding = names.slice(1).map((name, i) => `${name}: &${name} [*${names[i]}, *${names[i]}]`)
    await expect(read(`patch: {a: &a [1, 1], ${unfolding.join(', ')}}\n`)).rejects.toThrow(
      'run.yaml:1 is not valid YAML: Excessive alias count',
    )
  })

  it('is refused when it is missing', async () => {
    await expect(fileLayer(table, join(folder, 'none.yaml'))).rejects.toThrow(/none\.yaml could not be read: ENOENT/)
  })
})
