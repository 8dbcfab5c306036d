import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

export interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the built program as a user does. Its environment has no SEMGEN_ variables but those given. */
export function semgen(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Outcome> {
  if (!existsSync(join(root, 'dist/src/cli/main.js')))
    throw new Error('dist is not built: run "npm run build:ts" first')
  return runs([process.execPath, join(root, 'bin/semgen-native.js'), ...args], options)
}

/** Runs any command, in the same environment. */
export function runs(
  [program, ...args]: readonly [string, ...string[]],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(SEMGEN_|NO_COLOR|FORCE_COLOR)/.test(name))
  const child = spawn(program, args, {
    cwd: options.cwd ?? root,
    env: { ...Object.fromEntries(inherited), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

/** An engine that is not built here; undefined where all are. */
export const absentEngine = ['sim', 'cuda'].find((engine) => !existsSync(join(root, 'native', engine, 'build')))
