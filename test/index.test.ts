import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import * as api from '../src/index.js'
import { root } from './cli/run.js'

it('the package gives by its name what src/index.ts says', () => {
  const program = `console.log(JSON.stringify(Object.keys(await import('semgen-native')).sort()))`
  const names = execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' })
  expect(JSON.parse(names)).toEqual(Object.keys(api).sort())
})

it('the program of getting-started.md runs, with a small network', async () => {
  const page = readFileSync(join(root, 'docs/getting-started.md'), 'utf8')
  const program = /```js\n([\s\S]*?)```/.exec(page)![1]!
  const folder = mkdtempSync(join(tmpdir(), 'semgen-program-'))
  try {
    await api.makePhantoms({ out: join(folder, 'scans'), count: 5, size: [32, 32, 24], seed: 3 })
    // What the page leaves to the time there is.
    const small = { baseWidth: 4, depth: 2, patch: [16, 16, 16], epochs: 2, steps: 1, batch: 2 }
    const pretraining = {
      classes: 2,
      cubes: 2,
      references: 4,
      embeddingWidth: 4,
      embeddingInput: [16, 16, 16],
      embeddingEpochs: 1,
    }
    const text = program
      .replace("'semgen-native'", JSON.stringify(join(root, 'dist/src/index.js')))
      .replace('maxTime: 1800', `...${JSON.stringify({ ...small, ...pretraining, steps: undefined })}`)
      .replace('maxTime: 900', `...${JSON.stringify({ ...small, baseWidth: undefined, depth: undefined })}`)
    const words = ['--input-type=module', '-e', text]
    const out = execFileSync(process.execPath, words, { cwd: folder, encoding: 'utf8' })
    expect(out).toMatch(/^dice \d/)
    expect(readdirSync(join(folder, 'predicted'))).toHaveLength(5)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
