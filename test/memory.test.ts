import { freemem, totalmem } from 'node:os'
import { afterEach, expect, test, vi } from 'vitest'
import { examineMachine } from '../src/doctor/machine.js'
import { openEngine } from '../src/engine/index.js'
import { containerLimit, freeHostMemory, memoryLimit } from '../src/memory.js'

afterEach(() => vi.restoreAllMocks())

const limitedTo = (limit: number) => vi.spyOn(process, 'constrainedMemory').mockReturnValue(limit)

test.each([0, 2 ** 63, 2 ** 49, totalmem()])('a limit of %d bytes is none: the machine has no more', async (limit) => {
  limitedTo(limit)
  expect(containerLimit()).toBeUndefined()
  expect(memoryLimit()).toBe(totalmem())
  expect(freeHostMemory()).toBeLessThanOrEqual(freemem() * 1.5)
  expect((await examineMachine()).memory.limitBytes).toBeUndefined()
})

test('what a container allows is what there is, for engines and for the doctor alike', async () => {
  const limit = process.memoryUsage.rss() + 64 * 2 ** 20
  limitedTo(limit)
  expect(memoryLimit()).toBe(limit)
  expect((await examineMachine()).memory.limitBytes).toBe(limit)
  const free = openEngine({ device: 'cpu', threads: 1 }).freeMemory()
  expect(free).toBeGreaterThanOrEqual(0)
  expect(free).toBeLessThanOrEqual(64 * 2 ** 20)
})

test('a process above its limit has nothing left, and not less than that', () => {
  limitedTo(2 ** 20)
  expect(freeHostMemory()).toBe(0)
  expect(openEngine({ device: 'cpu', threads: 1 }).freeMemory()).toBe(0)
})
