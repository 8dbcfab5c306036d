import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { commands } from '../../src/cli/commands.js'
import { reference } from '../../src/cli/reference.js'
import { root } from './run.js'

it('docs/cli.md is what the commands say: "npm run docs" writes it', () => {
  expect(readFileSync(join(root, 'docs/cli.md'), 'utf8')).toBe(reference(commands))
})
