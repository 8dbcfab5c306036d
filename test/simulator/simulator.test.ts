import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

// The cases are native: kernels with and without planted faults, in test/simulator/*.cu. Each runs in a process of its
// own, so that seeds, counters and memory of one do not reach another.
const program = fileURLToPath(new URL('../../native/sim/build/simulator-tests', import.meta.url))

describe('the simulator', () => {
  if (!existsSync(program)) {
    it.skip('skipped: native/sim/build/simulator-tests is not built (npm run build:sim)', () => {})
    return
  }
  const cases = execFileSync(program, { encoding: 'utf8' }).trim().split('\n')
  for (const name of cases)
    it(name, () => {
      const result = spawnSync(program, [name], { encoding: 'utf8', timeout: 60_000 })
      expect(result.stdout + result.stderr).toBe('')
      expect(result.status).toBe(0)
    })
})
