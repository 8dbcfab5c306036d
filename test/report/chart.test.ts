import { describe, expect, it } from 'vitest'
import { linearAxis, lineChart, logarithmicAxis, type Point, thinned } from '../../src/report/chart.js'

describe('axes', () => {
  it.each<[number[], number[]]>([
    [
      [0, 1],
      [0, 0.2, 0.4, 0.6, 0.8, 1],
    ],
    [
      [3, 97],
      [0, 20, 40, 60, 80, 100],
    ],
    [
      [5, 5],
      [5, 6],
    ],
    [
      [0, 0],
      [0, 0.2],
    ],
    [
      [-1, 2],
      [-1, 0, 1, 2],
    ],
  ])('linear over %j', (values, ticks) => {
    const axis = linearAxis(values)
    expect(axis.ticks).toEqual(ticks)
    expect(axis.place(ticks[0]!)).toBeCloseTo(0, 12)
    expect(axis.place(ticks.at(-1)!)).toBeCloseTo(1, 12)
  })

  it.each<[number[], number[]]>([
    [
      [0.003, 0.05],
      [0.002, 0.005, 0.01, 0.02, 0.05],
    ],
    [
      [0.001, 0.001],
      [0.001, 0.002],
    ],
    [
      [1e-6, 1],
      [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1],
    ],
  ])('logarithmic over %j', (values, ticks) => {
    const axis = logarithmicAxis(values)
    expect(axis.ticks).toEqual(ticks)
    for (const value of values) {
      expect(axis.place(value)).toBeGreaterThanOrEqual(-1e-9)
      expect(axis.place(value)).toBeLessThanOrEqual(1 + 1e-9)
    }
  })
})

describe('lines', () => {
  const chart = {
    title: 'Loss',
    scale: 'logarithmic' as const,
    range: [0, 100] as const,
    marks: [{ step: 50, name: 'second', kind: 'stage' as const }],
  }

  it('are thinned to what can be told apart, keeping their mean', () => {
    const points = Array.from({ length: 12_345 }, (_, i): Point => [i, i % 2])
    const thin = thinned(points)
    expect(thin).toHaveLength(500)
    expect(thin.at(-1)![0]).toBe(12_344)
    for (const [, value] of thin) expect(value).toBeCloseTo(0.5, 1)
  })

  it('are broken between stages, where the loss becomes another', () => {
    const points: Point[] = [10, 50, 60, 100].map((step) => [step, step < 55 ? 2 : 0.01])
    const svg = lineChart({ ...chart, series: [{ name: 'training', kind: 'training', points }] }).text
    expect(svg.match(/<polyline/g)).toHaveLength(2)
  })

  it('leave out what a logarithm cannot show, and nothing is no chart', () => {
    const zero: Point[] = [
      [1, 0],
      [2, Number.NaN],
    ]
    expect(lineChart({ ...chart, series: [{ name: 'training', kind: 'training', points: zero }] }).text).toBe('')
  })

  it('leave out a reference that the axis has no place for, and its key', () => {
    const points: Point[] = [[1, 0.5]]
    const series = [{ name: 'validation', kind: 'validation' as const, points }]
    const svg = (value: number) => lineChart({ ...chart, series, reference: { name: 'perturbed', value } }).text
    expect(svg(0)).not.toMatch(/reference|Infinity|NaN/)
    expect(svg(0.25).match(/reference/g)).toHaveLength(2)
  })

  it('say in words what they show', () => {
    const points: Point[] = [
      [1, 0.5],
      [100, 0.125],
    ]
    const svg = lineChart({ ...chart, series: [{ name: 'validation', kind: 'validation', points }] }).text
    expect(svg).toContain('aria-label="Loss. validation: from 0.5 at step 1 to 0.125 at step 100."')
  })
})
