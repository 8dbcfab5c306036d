import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import * as api from '../src/index.js'
import { root } from './cli/run.js'

it('the package gives by its name what src/index.ts says', () => {
  const program = `console.log(JSON.stringify(Object.keys(await import('semgen-native')).sort()))`
  const names = execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' })
  expect(JSON.parse(names)).toEqual(Object.keys(api).sort())
})
