import { bootstrapMean, meanAndDeviation, quantile } from '../statistics.js'

export type Interval = readonly [low: number, high: number]

/** What a row of figures comes to. */
export interface Summary {
  readonly count: number
  readonly mean: number
  /** Of a sample; absent of a single value. */
  readonly deviation?: number
  /** Of the mean, 95 %: values redrawn with a seed; absent of a single value. */
  readonly interval?: Interval
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Redrawings of a bootstrap: the ends of a 95 % interval then move by one or two hundredths of its width from seed to seed. */
export const redrawings = 2000

/** @returns undefined of no values at all */
export function summaryOf(values: readonly number[], seed: number): Summary | undefined {
  if (values.length === 0) return undefined
  const sorted = Float64Array.from(values).sort()
  const { mean, deviation } = meanAndDeviation(values)
  const spread = values.length > 1 ? { deviation, interval: bootstrapMean(values, seed, redrawings) } : {}
  return {
    count: values.length,
    mean,
    ...spread,
    median: quantile(sorted, 0.5),
    min: sorted[0]!,
    max: sorted.at(-1)!,
  }
}
