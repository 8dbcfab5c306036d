import { Random } from './random.js'

/** Mean and sample standard deviation; the deviation of one value is 0. */
export function meanAndDeviation(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = sum(values) / values.length
  const squares = sum(values.map((value) => (value - mean) ** 2))
  return { mean, deviation: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 }
}

export interface TTest {
  readonly t: number
  readonly degrees: number
  /** Two-sided. */
  readonly p: number
}

/**
 * Student's independent two-sample t-test with pooled variance, as the paper's comparison of starts has it: positive t
 * where the means of `a` are the higher ones.
 * @returns undefined where it has no answer: fewer than two values on a side, or no spread on either
 */
export function independentTTest(a: readonly number[], b: readonly number[]): TTest | undefined {
  if (a.length < 2 || b.length < 2) return undefined
  const [one, other] = [meanAndDeviation(a), meanAndDeviation(b)]
  const degrees = a.length + b.length - 2
  const pooled = ((a.length - 1) * one.deviation ** 2 + (b.length - 1) * other.deviation ** 2) / degrees
  const error = Math.sqrt(pooled * (1 / a.length + 1 / b.length))
  if (error === 0) return undefined
  const t = (one.mean - other.mean) / error
  return { t, degrees, p: incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) }
}

/**
 * The 95 % percentile-bootstrap interval of mean(a) - mean(b): each side drawn anew with replacement, `draws` times, by
 * the seed (Efron 1979).
 */
export function bootstrapDifference(
  a: readonly number[],
  b: readonly number[],
  seed: number,
  draws = 10_000,
): readonly [low: number, high: number] {
  const random = new Random(seed, 'bootstrap')
  const differences = Float64Array.from({ length: draws }, () => drawnMean(a, random) - drawnMean(b, random)).sort()
  return [quantile(differences, 0.025), quantile(differences, 0.975)]
}

/** The same of the mean of one sample. */
export function bootstrapMean(
  values: readonly number[],
  seed: number,
  draws = 10_000,
): readonly [low: number, high: number] {
  const random = new Random(seed, 'bootstrap')
  const means = Float64Array.from({ length: draws }, () => drawnMean(values, random)).sort()
  return [quantile(means, 0.025), quantile(means, 0.975)]
}

function drawnMean(values: readonly number[], random: Random): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += random.pick(values)
  return total / values.length
}

/** Of sorted values, linear between two. */
export function quantile(sorted: Float64Array, part: number): number {
  const at = part * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!)
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

/**
 * The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8), evaluated
 * from the side where it converges fast.
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x))
  // Lentz's method.
  const tiny = 1e-300
  let [c, d, fraction] = [1, 0, 1]
  for (let i = 0; i <= 500; i++) {
    const m = Math.floor(i / 2)
    const term =
      i === 0
        ? 1
        : i % 2 === 0
          ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
          : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / (1 + term * d || tiny)
    c = 1 + term / c || tiny
    fraction *= c * d
    if (Math.abs(c * d - 1) < 1e-15) break
  }
  return (front * (fraction - 1)) / a
}

/** ln Gamma(x) for x > 0: Stirling's series, after raising x to where its error is below 1e-15. */
function logGamma(x: number): number {
  let [shift, z] = [0, x]
  for (; z < 12; z++) shift += Math.log(z)
  const r = 1 / (z * z)
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r / 1188)))) / z
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift
}
