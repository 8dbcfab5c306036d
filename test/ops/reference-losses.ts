/** Losses as plain float64 functions, unweighted. Gradients are taken of them by finite differences. */

type Values = ArrayLike<number>

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

function mean(count: number, term: (i: number) => number): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += term(i)
  return sum / count
}

export const losses: Record<string, (x: Values, target: Values) => number> = {
  sigmoid_mse: (x, target) => mean(x.length, (i) => (sigmoid(x[i]!) - target[i]!) ** 2),
  mse: (x, target) => mean(x.length, (i) => (x[i]! - target[i]!) ** 2),
  bce_with_logits: (x, target) =>
    mean(x.length, (i) => Math.max(x[i]!, 0) - x[i]! * target[i]! + Math.log1p(Math.exp(-Math.abs(x[i]!)))),
  // smooth is 1, as METHOD's segmentation tasks have it.
  dice: (x, target) => {
    let [shared, sizes] = [0, 0]
    for (let i = 0; i < x.length; i++) {
      shared += sigmoid(x[i]!) * target[i]!
      sizes += sigmoid(x[i]!) + target[i]!
    }
    return 1 - (2 * shared + 1) / (sizes + 1)
  },
}

/** The mean over rows of `classes` logits of logsumexp(row) - row[label]. */
export function crossEntropy(x: Values, labels: Values, classes: number): number {
  return mean(labels.length, (row) => {
    let [largest, total] = [Number.NEGATIVE_INFINITY, 0]
    for (let k = 0; k < classes; k++) largest = Math.max(largest, x[row * classes + k]!)
    for (let k = 0; k < classes; k++) total += Math.exp(x[row * classes + k]! - largest)
    return Math.log(total) + largest - x[row * classes + labels[row]!]!
  })
}

/** How many rows have their label on top, the first of equals being on top. */
export function countCorrect(x: Values, labels: Values, classes: number): number {
  let correct = 0
  for (let row = 0; row < labels.length; row++) {
    let top = 0
    for (let k = 1; k < classes; k++) if (x[row * classes + k]! > x[row * classes + top]!) top = k
    if (top === labels[row]) correct++
  }
  return correct
}

/**
 * dLoss/dx at some elements, by central differences in float64: step 1e-4, so that the error of the formula (step^2)
 * and that of the subtraction (1e-16 / step) are both below 1e-7 of a mean's derivative.
 */
export function differences(loss: (x: Float64Array) => number, x: Values, at: readonly number[]): number[] {
  const values = Float64Array.from(x)
  const step = 1e-4
  return at.map((i) => {
    const before = values[i]!
    values[i] = before + step
    const above = loss(values)
    values[i] = before - step
    const below = loss(values)
    values[i] = before
    return (above - below) / (2 * step)
  })
}
