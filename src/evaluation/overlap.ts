/** Voxels of a truth and a prediction: in both, in the prediction alone, in the truth alone, in neither. */
export interface Counts {
  readonly both: number
  readonly added: number
  readonly missed: number
  readonly neither: number
}

/** Undefined where neither has a voxel. */
export const diceOf = ({ both, added, missed }: Counts): number | undefined =>
  both + added + missed === 0 ? undefined : (2 * both) / (2 * both + added + missed)

/** Intersection over union; undefined where neither has a voxel. */
export const iouOf = ({ both, added, missed }: Counts): number | undefined =>
  both + added + missed === 0 ? undefined : both / (both + added + missed)

/** The thresholds that legacyMeanIoU averages over. */
export const legacyThresholds = Array.from({ length: 10 }, (_, i) => 0.5 + i * 0.05)

/**
 * What the method's published code calls IoU: at each threshold of the probability, the mean of the IoU of foreground and
 * of background, and of these the mean. The background, nearly all of an image and nearly always right, lifts it. Without
 * probabilities the thresholds are all alike.
 * @param byThreshold counts at each of `legacyThresholds`, or one that stands for all
 */
export function legacyMeanIoU(byThreshold: readonly Counts[]): number {
  const each = byThreshold.map(({ both, added, missed, neither }) => {
    const union = both + added + missed
    const ious = [
      ...(union > 0 ? [both / union] : []),
      ...(neither + added + missed > 0 ? [neither / (neither + added + missed)] : []),
    ]
    return ious.reduce((sum, iou) => sum + iou, 0) / ious.length
  })
  return each.reduce((sum, iou) => sum + iou, 0) / each.length
}

/** Counts at each of `legacyThresholds`: a voxel is predicted where its probability is above. */
export function countsByThreshold(truth: (voxel: number) => boolean, probabilities: Float32Array): Counts[] {
  const thresholds = legacyThresholds.length
  // By how many thresholds a voxel passes: 0 to 10.
  const inside = new Float64Array(thresholds + 1)
  const outside = new Float64Array(thresholds + 1)
  for (let i = 0; i < probabilities.length; i++) {
    const probability = probabilities[i]!
    let passed = 0
    while (passed < thresholds && probability > legacyThresholds[passed]!) passed++
    if (truth(i)) inside[passed]!++
    else outside[passed]!++
  }
  const above = (counts: Float64Array, threshold: number) =>
    counts.subarray(threshold + 1).reduce((sum, count) => sum + count, 0)
  const [all, none] = [inside, outside].map((counts) => counts.reduce((sum, count) => sum + count, 0)) as [
    number,
    number,
  ]
  return legacyThresholds.map((_, threshold) => {
    const [both, added] = [above(inside, threshold), above(outside, threshold)]
    return { both, added, missed: all - both, neither: none - added }
  })
}

/** The sum of counts, one threshold after another. */
export const addCounts = (a: readonly Counts[], b: readonly Counts[]): Counts[] =>
  a.map((counts, i) => ({
    both: counts.both + b[i]!.both,
    added: counts.added + b[i]!.added,
    missed: counts.missed + b[i]!.missed,
    neither: counts.neither + b[i]!.neither,
  }))
