import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from './engine/addon.js'

/** The version in package.json: the one place that says it. */
export function programVersion(): string {
  return (JSON.parse(readFileSync(join(projectRoot(), 'package.json'), 'utf8')) as { version: string }).version
}
