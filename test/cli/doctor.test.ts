import { availableParallelism, totalmem } from 'node:os'
import { expect, it } from 'vitest'
import { semgen } from './run.js'

it('examines this machine', async () => {
  const { code, out, err } = await semgen(['doctor', '--json'])
  const seen = JSON.parse(out)
  expect(err).toBe('')
  expect(seen.node).toBe(process.versions.node)
  expect(seen.machine.memory.totalBytes).toBe(totalmem())
  expect(seen.machine.cpu.usableCores).toBe(availableParallelism())
  expect(seen.engines.map(({ engine }: { engine: string }) => engine)).toEqual(['cpu', 'cuda', 'sim'])
  expect(seen.engines[0]).toMatchObject({ engine: 'cpu', works: true, library: expect.stringMatching(/^oneDNN \d/) })
  for (const engine of seen.engines) if (!engine.works) expect(engine.why).toMatch(/\.$/)
  expect(seen.packages).toContainEqual({ name: 'yargs', wanted: '18.2.0', installed: '18.2.0' })
  expect(code).toBe(0)
})

it('tells people the same', async () => {
  const { code, out } = await semgen(['doctor'])
  expect(code).toBe(0)
  expect(out).toMatch(/^Node +\d+/m)
  expect(out).toMatch(/^Engine cpu +works: oneDNN/m)
})
