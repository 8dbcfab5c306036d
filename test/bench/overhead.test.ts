import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root, runs } from '../cli/run.js'

it('tells what an operation costs, and a step of a small network', async () => {
  const sizes = ['--operations', '20', '--runs', '1', '--base-width', '2', '--patch', '16x16x16', '--batch', '1']
  const program = join(root, 'dist/bench/overhead.js')
  const { code, out } = await runs([process.execPath, program, '--json', '--device', 'cpu', '--threads', '1', ...sizes])
  expect(code).toBe(0)
  const { operationSeconds, stepSeconds, operations } = JSON.parse(out)
  expect(stepSeconds).toBeGreaterThan(0)
  expect(operations).toBeGreaterThan(20)
  expect(Math.abs(operationSeconds)).toBeLessThan(stepSeconds)
})
