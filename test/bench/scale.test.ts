import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { growthExponent, lineFit } from '../../bench/fit.js'
import { root, runs } from '../cli/run.js'

describe('fits', () => {
  // F. J. Anscombe, "Graphs in statistical analysis", 1973: all four sets have the line 3.00 + 0.500 x.
  const x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
  const y1 = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
  const y2 = [9.14, 8.14, 8.74, 8.77, 9.26, 8.1, 6.13, 3.1, 9.13, 7.26, 4.74]

  it('find the line of published data', () => {
    for (const y of [y1, y2]) {
      const { offset, slope } = lineFit(x.map((value, i) => [value, y[i]!]))
      // As many digits as the paper gives.
      expect(offset).toBeCloseTo(3, 2)
      expect(slope).toBeCloseTo(0.5, 3)
    }
  })

  it('find an exact line whatever the weights, and refuse points above one place', () => {
    const points = [1, 2, 4, 8].map((n) => [n, 3 + 5 * n] as const)
    // Rounding alone.
    for (const line of [lineFit(points), lineFit(points, (y) => 1 / y ** 2)]) {
      expect(line.offset).toBeCloseTo(3, 12)
      expect(line.slope).toBeCloseTo(5, 12)
    }
    expect(() =>
      lineFit([
        [1, 1],
        [1, 2],
      ] as const),
    ).toThrow(RangeError)
  })

  it('find the exponent of a power law', () => {
    // Rounding alone.
    expect(growthExponent([1, 3, 7, 20].map((n) => [n, 0.2 * n ** 1.75]))).toBeCloseTo(1.75, 12)
  })

  const python = '/usr/bin/python3'
  const weighted = `import numpy,json;print(json.dumps(list(numpy.polyfit(${JSON.stringify(x)},${JSON.stringify(y1)},1,w=1/numpy.array(${JSON.stringify(y1)})))))`
  it('weigh as numpy does', async ({ skip }) => {
    if (!existsSync(python)) return skip('no /usr/bin/python3 here')
    const { code, out } = await runs([python, '-c', weighted])
    if (code !== 0) return skip('numpy is not installed')
    const [slope, offset] = JSON.parse(out)
    const line = lineFit(
      x.map((value, i) => [value, y1[i]!]),
      (y) => 1 / y ** 2,
    )
    // numpy solves by singular values: the two agree to rounding of a well-conditioned problem.
    expect(line.slope).toBeCloseTo(slope, 10)
    expect(line.offset).toBeCloseTo(offset, 10)
  })
})

it('bench scale measures every term at four sizes and fits it', async () => {
  const words = ['dist/bench/scale.js', '--quick', '--json', '--device', 'cpu', '--threads', '1']
  const { code, out, err } = await runs([process.execPath, ...words.map((word, i) => (i ? word : join(root, word)))])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  const { terms } = JSON.parse(out)
  for (const against of ['scans', 'voxels of a cube', 'cubes', 'base width', 'classes'])
    expect(terms.filter(({ term }: { term: string }) => term.endsWith(` by ${against}`)).length).toBeGreaterThan(0)
  for (const { term, points, exponent, law } of terms) {
    expect(points, term).toHaveLength(4)
    expect(Number.isFinite(exponent), term).toBe(true)
    expect(law).toMatch(/ n²?$/)
  }
  const named = (name: string) => terms.find(({ term }: { term: string }) => term === name)
  // Sizes, unlike times, are the same on every machine: 2 bytes a voxel, and a description of a few hundred bytes a scan.
  for (const { scans, measuredBytes } of named('preparing scans: cache on disk by scans').points) {
    expect(measuredBytes / scans).toBeGreaterThan(2 * 48 * 40 * 32)
    expect(measuredBytes / scans).toBeLessThan(2 * 48 * 40 * 32 + 1000)
  }
  // Nearly all parameters join a width to a width.
  expect(named('a step: weights and moments by base width').worstDeviationShare).toBeLessThan(0.01)
})
