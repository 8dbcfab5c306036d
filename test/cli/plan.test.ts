import { describe, expect, it } from 'vitest'
import type { PlannedStep } from '../../src/training/index.js'
import { semgen } from './run.js'

const small = ['--device', 'cpu', '--precision', 'fp32', '--base-width', '4', '--depth', '3', '--patch', '16x16x16']

describe('plan', () => {
  it('says what a step takes, batch by batch and level by level', async () => {
    const { code, out } = await semgen(['plan', ...small, '--batch', '2,4', '--json'])
    expect(code).toBe(0)
    const steps = JSON.parse(out) as PlannedStep[]
    expect(steps.map(({ batch, recompute }) => [batch, recompute])).toEqual(
      [0, 1, 2, 3].flatMap((recompute) => [2, 4].map((batch) => [batch, recompute])),
    )
    const [kept, larger, again] = steps as [PlannedStep, PlannedStep, PlannedStep]
    for (const { parameters, activations, validation, cubes, total } of steps)
      expect(parameters + activations + validation + cubes).toBe(total)
    expect(larger.parameters).toBe(kept.parameters)
    expect(larger.cubes).toBe(2 * kept.cubes)
    expect(again.activations).toBeLessThan(kept.activations)
    expect(again.flops).toBeGreaterThan(kept.flops)
    expect(kept.fits).toBeGreaterThan(4)
  })

  it('prints the same as a table', async () => {
    const { code, out } = await semgen(['plan', ...small, '--batch', '2', '--recompute', '1'])
    expect(code).toBe(0)
    const lines = out.trim().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(/batch +recomputed +parameters .* in all/)
    expect(lines[1]).toMatch(/^ *2 +1 .*up to [\d,]+$/)
  })

  it('refuses to count patterns for a recipe that names none', async () => {
    const { code, err } = await semgen(['plan', '--recipe', 'inpainting', '--classes', '10'])
    expect(code).toBe(2)
    expect(err).toContain('--classes counts patterns, and the recipe inpainting names none: leave it away.')
  })

  it('refuses a patch that the depth cannot halve', async () => {
    const { code, err } = await semgen(['plan', '--device', 'cpu', '--patch', '20x20x20', '--depth', '4'])
    expect(code).toBe(2)
    expect(err).toMatch(/^error: .*20/)
    expect(err.trim().split('\n')).toHaveLength(1)
  })
})
