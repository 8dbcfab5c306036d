import { z } from 'zod'
import { bootstrapDifference, independentTTest, meanAndDeviation } from '../statistics.js'

/** One finished run of a comparison. */
export const comparedRun = z.object({
  start: z.string(),
  /** Share of the training cases whose labels were used, and how many those were. */
  labelFraction: z.number(),
  labelledCases: z.number().int(),
  seed: z.number().int(),
  /** Mean Dice, or AUC, over the test part; over the held-out cases where there is no test part. */
  figure: z.number(),
  byOutput: z.record(z.string(), z.number()),
  /** The same over the held-out cases after so many steps. */
  curve: z.array(z.tuple([z.number(), z.number()])),
})
export type ComparedRun = z.infer<typeof comparedRun>

/** The runs of one start with one share of labels. */
export interface StartSummary {
  readonly start: string
  readonly labelFraction: number
  readonly labelledCases: number
  readonly values: readonly number[]
  readonly mean: number
  readonly deviation: number
  readonly byOutput: Readonly<Record<string, number>>
  /** Mean curve over the runs. */
  readonly curve: readonly (readonly [step: number, figure: number])[]
  /** Against the first start: absent for that itself. */
  readonly against?: {
    readonly difference: number
    /** 95 %, by bootstrap. */
    readonly interval: readonly [number, number]
    /** Of an independent two-sample t-test; absent where it has no answer. */
    readonly p?: number
  }
}

/** What the runs say, by share of labels and then by start, in the order they were asked for. */
export function summarize(runs: readonly ComparedRun[], starts: readonly string[], seed: number): StartSummary[] {
  const fractions = [...new Set(runs.map(({ labelFraction }) => labelFraction))].sort((a, b) => b - a)
  return fractions.flatMap((fraction) => {
    const of = (start: string) => runs.filter((run) => run.start === start && run.labelFraction === fraction)
    const first = of(starts[0]!).map(({ figure }) => figure)
    return starts.flatMap((start, i): StartSummary[] => {
      const mine = of(start)
      if (mine.length === 0) return []
      const values = mine.map(({ figure }) => figure)
      const { mean, deviation } = meanAndDeviation(values)
      const p = independentTTest(values, first)?.p
      const outputs = Object.keys(mine[0]!.byOutput)
      return [
        {
          start,
          labelFraction: fraction,
          labelledCases: mine[0]!.labelledCases,
          values,
          mean,
          deviation,
          byOutput: Object.fromEntries(
            outputs.map((name) => [name, average(mine.flatMap((run) => run.byOutput[name] ?? []))]),
          ),
          curve: meanCurve(mine),
          ...(i > 0 && first.length > 0
            ? {
                against: {
                  difference: mean - average(first),
                  interval: bootstrapDifference(values, first, seed),
                  ...(p === undefined ? {} : { p }),
                },
              }
            : {}),
        },
      ]
    })
  })
}

/** The mean at every step that all runs have a validation at. */
function meanCurve(runs: readonly ComparedRun[]): (readonly [number, number])[] {
  const at = runs.map(({ curve }) => new Map(curve))
  return runs[0]!.curve
    .map(([step]) => [step, at.map((curve) => curve.get(step))] as const)
    .filter((entry): entry is readonly [number, number[]] => entry[1].every((value) => value !== undefined))
    .map(([step, values]) => [step, average(values)] as const)
}

const average = (values: readonly number[]): number => meanAndDeviation(values).mean
