import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { Random } from '../src/random.js'
import { bootstrapDifference, incompleteBeta, independentTTest, meanAndDeviation } from '../src/statistics.js'

const python = '/usr/bin/python3'
const scipy = spawnSync(python, ['-c', 'import scipy']).status === 0
if (!scipy) console.info('skipped: statistics are not compared with SciPy: it is not installed (python3-scipy)')

/** What SciPy says, as JSON. */
function told(code: string): unknown {
  const { stdout, stderr } = spawnSync(python, ['-c', `import json, scipy.stats as s, scipy.special as f\n${code}`], {
    encoding: 'utf8',
  })
  if (!stdout) throw new Error(stderr)
  return JSON.parse(stdout)
}

const samples = (count: number, mean: number, seed: number) => {
  const random = new Random(seed, 'test/statistics')
  return Array.from({ length: count }, () => mean + 0.02 * random.normal())
}

describe('statistics', () => {
  it('the mean and the sample standard deviation', () => {
    expect(meanAndDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, deviation: Math.sqrt(32 / 7) })
    expect(meanAndDeviation([3])).toEqual({ mean: 3, deviation: 0 })
  })

  it.skipIf(!scipy).each([
    [2, 2, 0.1],
    [8, 8, 0.01],
    [10, 7, 0.03],
    [30, 25, 0],
  ])('the t-test of %i and %i values is SciPy’s', (n, m, apart) => {
    const [a, b] = [samples(n, 0.9, n), samples(m, 0.9 - apart, m + 100)]
    const found = independentTTest(a, b)!
    const [t, p] = told(
      `r = s.ttest_ind(${JSON.stringify(a)}, ${JSON.stringify(b)}); print(json.dumps([r[0], r[1]]))`,
    ) as [number, number]
    // Both in float64; rounding of a few dozen operations.
    expect(Math.abs(found.t / t - 1)).toBeLessThan(1e-10)
    expect(Math.abs(found.p / p - 1)).toBeLessThan(1e-10)
  })

  it.skipIf(!scipy)('the incomplete beta function is SciPy’s', () => {
    for (const [x, a, b] of [
      [0.1, 0.5, 0.5],
      [0.9, 7, 0.5],
      [0.5, 40, 0.5],
      [0.999, 3, 12],
    ] as const) {
      const expected = told(`print(json.dumps(f.betainc(${a}, ${b}, ${x})))`) as number
      expect(Math.abs(incompleteBeta(x, a, b) / expected - 1)).toBeLessThan(1e-12)
    }
  })

  it('a t-test without an answer says so', () => {
    expect(independentTTest([1], [2, 3])).toBeUndefined()
    expect(independentTTest([1, 1], [1, 1])).toBeUndefined()
  })

  it('the bootstrap interval has the width that theory gives, and repeats', () => {
    const [a, b] = [samples(40, 0.9, 1), samples(40, 0.88, 2)]
    const [low, high] = bootstrapDifference(a, b, 7)
    expect(bootstrapDifference(a, b, 7)).toEqual([low, high])
    const [one, other] = [meanAndDeviation(a), meanAndDeviation(b)]
    const error = Math.sqrt((one.deviation ** 2 + other.deviation ** 2) / 40)
    // Normal theory: 1.96 standard errors a side; the bootstrap's own error with 10,000 draws is about 2 %.
    expect(Math.abs((high - low) / (2 * 1.96 * error) - 1)).toBeLessThan(0.06)
    expect(Math.abs((high + low) / 2 - (one.mean - other.mean))).toBeLessThan(0.1 * error)
  })
})
