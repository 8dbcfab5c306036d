// Writes docs/cli.md from the commands' definitions. A test says when it is out of date.
import { writeFileSync } from 'node:fs'
import { commands } from '../dist/src/cli/commands.js'
import { reference } from '../dist/src/cli/reference.js'

writeFileSync(new URL('../docs/cli.md', import.meta.url), reference(commands))
