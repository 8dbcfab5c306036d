import { meanAndDeviation } from '../statistics.js'
import type { Interval } from './summary.js'

/** How well scores put positives before negatives. */
export interface Ranking {
  readonly positives: number
  readonly negatives: number
  /** The probability that a positive scores higher than a negative; a tie counts half. */
  readonly auc: number
  /** 95 %, after DeLong; absent where there is but one positive or negative. */
  readonly interval?: Interval
  readonly averagePrecision: number
  /** From no case called positive to all: one point a distinct score. */
  readonly curve: readonly OperatingPoint[]
}

export interface OperatingPoint {
  /** Called positive from here on; absent at the beginning, where nothing is. */
  readonly threshold?: number
  readonly sensitivity: number
  readonly falsePositiveRate: number
  readonly precision: number
}

/** The 97.5 % quantile of the normal distribution. */
const z = 1.959963984540054

/**
 * AUC with DeLong's interval (DeLong, DeLong and Clarke-Pearson 1988, by midranks as Sun and Xu, 2014, with the normal
 * approximation cut at 0 and 1), and average precision: the sum over thresholds of precision times the gain in recall,
 * without interpolation. Equal scores are one threshold.
 * @param scores finite, higher for positive
 * @returns undefined where one of the classes has no case
 */
export function rank(scores: readonly number[], positive: readonly boolean[]): Ranking | undefined {
  const ofPositives = scores.filter((_, i) => positive[i])
  const ofNegatives = scores.filter((_, i) => !positive[i])
  const [m, n] = [ofPositives.length, ofNegatives.length]
  if (m === 0 || n === 0) return undefined
  const all = midranks([...ofPositives, ...ofNegatives])
  const withinPositives = midranks(ofPositives)
  const withinNegatives = midranks(ofNegatives)
  // For each positive the share of negatives below it, for each negative the share of positives above it.
  const below = ofPositives.map((_, i) => (all[i]! - withinPositives[i]!) / n)
  const above = ofNegatives.map((_, i) => 1 - (all[m + i]! - withinNegatives[i]!) / m)
  const { mean: auc, deviation } = meanAndDeviation(below)
  const error =
    m > 1 && n > 1 ? Math.hypot(deviation / Math.sqrt(m), meanAndDeviation(above).deviation / Math.sqrt(n)) : undefined
  const curve = operatingPoints(scores, positive, m, n)
  const averagePrecision = curve.reduce(
    (sum, point, i) => sum + (i === 0 ? 0 : (point.sensitivity - curve[i - 1]!.sensitivity) * point.precision),
    0,
  )
  return {
    positives: m,
    negatives: n,
    auc,
    ...(error === undefined ? {} : { interval: [Math.max(0, auc - z * error), Math.min(1, auc + z * error)] }),
    averagePrecision,
    curve,
  }
}

function operatingPoints(scores: readonly number[], positive: readonly boolean[], m: number, n: number) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const points: OperatingPoint[] = [{ sensitivity: 0, falsePositiveRate: 0, precision: 1 }]
  let found = 0
  for (const [k, i] of order.entries()) {
    if (positive[i]) found++
    if (k + 1 < order.length && scores[order[k + 1]!] === scores[i]) continue
    points.push({
      threshold: scores[i]!,
      sensitivity: found / m,
      falsePositiveRate: (k + 1 - found) / n,
      precision: found / (k + 1),
    })
  }
  return points
}

/** Each value's place from 1 in increasing order; equal values share the mean of theirs. */
function midranks(values: readonly number[]): Float64Array {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!)
  const ranks = new Float64Array(values.length)
  for (let from = 0; from < order.length; ) {
    let to = from + 1
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++
    for (let k = from; k < to; k++) ranks[order[k]!] = (from + 1 + to) / 2
    from = to
  }
  return ranks
}
