import { spawnSync } from 'node:child_process'

const python = '/usr/bin/python3'

/** What Debian's Python lacks for a test, said aloud; undefined when all of these modules are here. */
export function lacking(what: string, ...modules: string[]): string | undefined {
  if (spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0) return undefined
  console.info(`skipped: ${what}: ${python} with ${modules.join(', ')} is not here`)
  return modules.join(', ')
}

/** Runs a script that reads its question as JSON in `asked` and leaves its answer in `answer`. */
export function ask<T>(script: string, asked: unknown): T {
  const code = `import json, sys\nasked = json.load(sys.stdin)\n${script}\nprint(json.dumps(answer))`
  const { status, stdout, stderr } = spawnSync(python, ['-W', 'ignore', '-c', code], {
    input: JSON.stringify(asked),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, OMP_WAIT_POLICY: 'PASSIVE' },
  })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}
