import { rank } from '../evaluation/ranking.js'
import { Random } from '../random.js'
import { quantile } from '../statistics.js'

/** What a classifier said of some images, and what is true of them. */
export interface Answers {
  readonly classes: readonly string[]
  /** Whether one class is true of each image. */
  readonly exclusive: boolean
  /** [images, classes]: softmax of the logits, or a sigmoid each. */
  readonly probabilities: Float64Array
  /** Classes that are true of each image. */
  readonly truths: readonly (readonly number[])[]
}

export interface ClassMeasures {
  /** Share of images of which every class is called rightly. */
  readonly accuracy: number
  /** One class each: the mean over classes of the share named rightly. Several: the mean of sensitivity and specificity over both and all classes. */
  readonly balancedAccuracy: number
  /** Mean over the classes that have positives and negatives, each against the rest; absent where none has. */
  readonly auc?: number
  /** Of two exclusive classes that of the second, which is that of the first, too. */
  readonly aucOf: Readonly<Record<string, number>>
}

export type Interval = [low: number, high: number]

/** Softmax of each row, or a sigmoid each. @param logits [images, classes] */
export function probabilitiesOf(logits: ArrayLike<number>, classes: number, exclusive: boolean): Float64Array {
  const result = Float64Array.from(logits)
  if (!exclusive) return result.map((logit) => 1 / (1 + Math.exp(-logit)))
  for (let at = 0; at < result.length; at += classes) {
    const row = result.subarray(at, at + classes)
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    row.forEach((logit, c) => {
      row[c] = Math.exp(logit - most)
    })
    const sum = row.reduce((a, b) => a + b, 0)
    row.forEach((value, c) => {
      row[c] = value / sum
    })
  }
  return result
}

/** The loss of each image, as training has it: cross-entropy, or the mean binary one. @param logits [images, classes] */
export function lossesOf(
  logits: ArrayLike<number>,
  classes: number,
  exclusive: boolean,
  truths: Answers['truths'],
): number[] {
  return truths.map((truth, i) => {
    const row = Array.from({ length: classes }, (_, c) => logits[i * classes + c]!)
    if (!exclusive)
      return (
        row.reduce(
          (sum, l, c) => sum + Math.max(l, 0) - (truth.includes(c) ? l : 0) + Math.log1p(Math.exp(-Math.abs(l))),
          0,
        ) / classes
      )
    const most = Math.max(...row)
    return most + Math.log(row.reduce((sum, l) => sum + Math.exp(l - most), 0)) - row[truth[0]!]!
  })
}

/** Classes that are called: the most probable, or all above one half. */
export function calledOf({ classes, exclusive, probabilities }: Omit<Answers, 'truths'>, image: number): number[] {
  const row = probabilities.subarray(image * classes.length, (image + 1) * classes.length)
  if (!exclusive) return [...row.keys()].filter((c) => row[c]! > 0.5)
  return [row.reduce((best, value, c) => (value > row[best]! ? c : best), 0)]
}

/** How right the answers are. */
export function classMeasures(answers: Answers): ClassMeasures {
  const { truths, classes } = answers
  const aucs = rankedClasses(answers).map((c): readonly [string, number] | undefined => {
    const ranking = rank(
      scoresOf(answers, c),
      truths.map((truth) => truth.includes(c)),
    )
    return ranking && [classes[c]!, ranking.auc]
  })
  const aucOf = Object.fromEntries(aucs.filter((one) => one !== undefined))
  const values = Object.values(aucOf)
  return {
    ...callsOf(answers).measures(new Float64Array(truths.length).fill(1)),
    ...(values.length > 0 ? { auc: values.reduce((sum, auc) => sum + auc, 0) / values.length } : {}),
    aucOf,
  }
}

/**
 * 95 % percentile-bootstrap intervals: images drawn anew with replacement, `draws` times, by the seed (Efron 1979). A
 * draw that a class is missing from counts the others.
 */
export function bootstrapMeasures(
  answers: Answers,
  seed: number,
  draws = 2000,
): { readonly accuracy: Interval; readonly balancedAccuracy: Interval; readonly auc?: Interval } {
  const count = answers.truths.length
  const random = new Random(seed, 'bootstrap')
  const calls = callsOf(answers)
  const aucs = rankedClasses(answers).map((c) =>
    weightedAuc(
      scoresOf(answers, c),
      answers.truths.map((truth) => truth.includes(c)),
    ),
  )
  const found = { accuracy: [] as number[], balancedAccuracy: [] as number[], auc: [] as number[] }
  const times = new Float64Array(count)
  for (let draw = 0; draw < draws; draw++) {
    times.fill(0)
    for (let i = 0; i < count; i++) times[random.integer(0, count)]!++
    const { accuracy, balancedAccuracy } = calls.measures(times)
    found.accuracy.push(accuracy)
    found.balancedAccuracy.push(balancedAccuracy)
    const each = aucs.map((auc) => auc(times)).filter((auc) => auc !== undefined)
    if (each.length > 0) found.auc.push(each.reduce((sum, auc) => sum + auc, 0) / each.length)
  }
  const interval = (values: readonly number[]): Interval => {
    const sorted = Float64Array.from(values).sort()
    return [quantile(sorted, 0.025), quantile(sorted, 0.975)]
  }
  return {
    accuracy: interval(found.accuracy),
    balancedAccuracy: interval(found.balancedAccuracy),
    ...(found.auc.length > 0 ? { auc: interval(found.auc) } : {}),
  }
}

/** The classes that have a curve of their own: of two exclusive ones the second. */
function rankedClasses({ classes, exclusive }: Answers): number[] {
  return exclusive && classes.length === 2 ? [1] : [...classes.keys()]
}

const scoresOf = ({ probabilities, classes, truths }: Answers, c: number): number[] =>
  truths.map((_, i) => probabilities[i * classes.length + c]!)

/** Accuracies of images that count so many times each. */
function callsOf(answers: Answers): {
  measures(times: Float64Array): { readonly accuracy: number; readonly balancedAccuracy: number }
} {
  const { truths, exclusive, classes } = answers
  const called = truths.map((_, i) => calledOf(answers, i))
  const right = truths.map(
    (truth, i) => truth.length === called[i]!.length && truth.every((c) => called[i]!.includes(c)),
  )
  // Shares whose mean is the balanced accuracy: images of a kind, and whether each is called rightly.
  const kinds = exclusive
    ? classes.map((_, c) => truths.map((truth, i) => (truth[0] === c ? right[i]! : undefined)))
    : classes.flatMap((_, c) =>
        [true, false].map((is) =>
          truths.map((truth, i) => (truth.includes(c) === is ? called[i]!.includes(c) === is : undefined)),
        ),
      )
  const share = (kind: readonly (boolean | undefined)[], times: Float64Array) => {
    let [all, good] = [0, 0]
    kind.forEach((is, i) => {
      if (is === undefined) return
      all += times[i]!
      if (is) good += times[i]!
    })
    return all > 0 ? good / all : undefined
  }
  return {
    measures(times) {
      const shares = kinds.map((kind) => share(kind, times)).filter((one) => one !== undefined)
      return {
        accuracy: share(right, times) ?? 0,
        balancedAccuracy: shares.reduce((sum, one) => sum + one, 0) / Math.max(1, shares.length),
      }
    },
  }
}

/** The area under the ROC curve of images that count so many times each: one pass in the order of their scores. */
function weightedAuc(scores: readonly number[], positive: readonly boolean[]) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[a]! - scores[b]!)
  return (times: Float64Array): number | undefined => {
    let [below, positives, area] = [0, 0, 0]
    for (let from = 0; from < order.length; ) {
      let [ups, downs, to] = [0, 0, from]
      for (; to < order.length && scores[order[to]!] === scores[order[from]!]; to++) {
        if (positive[order[to]!]) ups += times[order[to]!]!
        else downs += times[order[to]!]!
      }
      area += ups * (below + downs / 2)
      positives += ups
      below += downs
      from = to
    }
    return positives > 0 && below > 0 ? area / (positives * below) : undefined
  }
}
