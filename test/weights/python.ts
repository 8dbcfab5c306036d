import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const python = '/usr/bin/python3'

/** What Debian's Python lacks for a test: undefined when all of these modules are here. */
export function lacking(...modules: string[]): string | undefined {
  const { status, error } = spawnSync(python, ['-c', `import ${modules.join(', ')}`])
  return error || status !== 0 ? `${python} with ${modules.join(', ')} is not here` : undefined
}

/** Runs a script of this folder. @throws Error with what it printed when it fails */
export function runPython(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, script), ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, OMP_WAIT_POLICY: 'PASSIVE' },
  })
  if (status !== 0) throw new Error(`${script} failed: ${stderr}`)
  return stdout
}
