import { Random } from '../random.js'
import { meanAndDeviation, quantile } from '../statistics.js'
import { type Interval, redrawings } from './summary.js'

type Point = readonly [x: number, y: number, z: number]

/** A nodule of a scan: a ball in the world, in millimetres. */
export interface Nodule {
  readonly scan: string
  readonly centre: Point
  readonly radius: number
}

/** A place that a detector marked. */
export interface Mark {
  readonly scan: string
  readonly place: Point
  /** Finite, higher where a nodule is more likely. */
  readonly score: number
}

/** False positives a scan at which sensitivity is read, as LUNA16 and the ANODE09 study do. */
export const rates = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8] as const

/** What one scan's marks found. */
export interface ScanFinds {
  readonly scan: string
  /** Of each nodule the highest score of the marks within it; undefined where none is. */
  readonly nodules: readonly { readonly nodule: Nodule; readonly score: number | undefined }[]
  /** Scores of marks in no nodule. */
  readonly falsePositives: readonly number[]
  /** Further marks of a nodule that has a higher one, and marks in regions that do not count. */
  readonly ignored: number
}

export interface Froc {
  readonly scans: number
  readonly nodules: number
  /** Nodules with any mark. */
  readonly found: number
  /** One for each of `rates`. */
  readonly sensitivities: readonly number[]
  /** Their mean: the score of LUNA16. */
  readonly mean: number
  /** Of the mean, 95 %: scans redrawn with a seed; absent of a single scan. */
  readonly interval?: Interval
  /** One point a distinct score, from the highest on. */
  readonly curve: readonly {
    readonly threshold: number
    readonly falsePositives: number
    readonly sensitivity: number
  }[]
}

/**
 * Which marks lie within which nodules of their scan: nearer to the centre than the radius. A nodule counts once, with its
 * highest mark; a mark within an ignored region, or within a nodule that has a higher mark, counts for nothing; every other
 * mark is a false positive.
 */
export function matchMarks(
  scans: readonly string[],
  nodules: readonly Nodule[],
  ignored: readonly Nodule[],
  marks: readonly Mark[],
): ScanFinds[] {
  const [nodulesOf, ignoredOf, marksOf] = [byScan(nodules), byScan(ignored), byScan(marks)]
  return scans.map((scan) => {
    const here = nodulesOf.get(scan) ?? []
    const excused = ignoredOf.get(scan) ?? []
    const best = here.map((): Mark | undefined => undefined)
    const falsePositives: number[] = []
    let within = 0
    for (const mark of marksOf.get(scan) ?? []) {
      let hit = false
      for (const [i, nodule] of here.entries())
        if (holds(nodule, mark.place)) {
          hit = true
          if (mark.score > (best[i]?.score ?? Number.NEGATIVE_INFINITY)) best[i] = mark
        }
      if (hit || excused.some((region) => holds(region, mark.place))) within++
      else falsePositives.push(mark.score)
    }
    return {
      scan,
      nodules: here.map((nodule, i) => ({ nodule, score: best[i]?.score })),
      falsePositives,
      ignored: within - new Set(best.filter((mark) => mark !== undefined)).size,
    }
  })
}

function byScan<T extends { readonly scan: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(item.scan)
    if (group) group.push(item)
    else groups.set(item.scan, [item])
  }
  return groups
}

const holds = ({ centre, radius }: Nodule, place: Point): boolean =>
  centre.reduce((sum, value, axis) => sum + (value - place[axis]!) ** 2, 0) < radius * radius

/** Found nodules and false positives of all scans, from the highest score on. */
interface Events {
  readonly scores: Float64Array
  readonly scan: Uint32Array
  /** 1 for a found nodule, 0 for a false positive. */
  readonly hit: Uint8Array
  readonly nodules: readonly number[]
}

/**
 * The free-response curve: sensitivity against false positives a scan, linear between thresholds, and level after the last
 * mark. The interval redraws scans, as they are what is independent; redrawings without a nodule are drawn again.
 * @param finds with at least one nodule
 */
export function frocOf(finds: readonly ScanFinds[], seed: number): Froc {
  const events = eventsOf(finds)
  const ones = new Uint32Array(finds.length).fill(1)
  const curve: { threshold: number; falsePositives: number; sensitivity: number }[] = []
  const sensitivities = walk(events, ones, (threshold, falsePositives, sensitivity) =>
    curve.push({ threshold, falsePositives, sensitivity }),
  )
  const nodules = finds.reduce((sum, of) => sum + of.nodules.length, 0)
  return {
    scans: finds.length,
    nodules,
    found: finds.reduce((sum, of) => sum + of.nodules.filter(({ score }) => score !== undefined).length, 0),
    sensitivities,
    mean: meanAndDeviation(sensitivities).mean,
    ...(finds.length > 1 ? { interval: intervalOf(events, finds.length, seed) } : {}),
    curve,
  }
}

function eventsOf(finds: readonly ScanFinds[]): Events {
  const all = finds.flatMap(({ nodules, falsePositives }, scan) => [
    ...nodules.flatMap(({ score }) => (score === undefined ? [] : [{ score, scan, hit: 1 }])),
    ...falsePositives.map((score) => ({ score, scan, hit: 0 })),
  ])
  all.sort((a, b) => b.score - a.score)
  return {
    scores: Float64Array.from(all, ({ score }) => score),
    scan: Uint32Array.from(all, ({ scan }) => scan),
    hit: Uint8Array.from(all, ({ hit }) => hit),
    nodules: finds.map(({ nodules }) => nodules.length),
  }
}

/** Sensitivity at each of `rates`, each scan counted as often as its weight says. */
function walk(
  { scores, scan, hit, nodules }: Events,
  weights: Uint32Array,
  tell?: (threshold: number, falsePositives: number, sensitivity: number) => void,
): number[] {
  const scans = weights.reduce((sum, weight) => sum + weight, 0)
  const total = nodules.reduce((sum, count, i) => sum + count * weights[i]!, 0)
  const result: number[] = []
  let [hits, falses, sensitivity, rate] = [0, 0, 0, 0]
  for (let i = 0; i < scores.length; i++) {
    const weight = weights[scan[i]!]!
    if (hit[i]) hits += weight
    else falses += weight
    if (scores[i + 1] === scores[i]) continue
    while (result.length < rates.length && falses / scans > rates[result.length]!) {
      const share = (rates[result.length]! - rate) / (falses / scans - rate)
      result.push(sensitivity + share * (hits / total - sensitivity))
    }
    sensitivity = hits / total
    rate = falses / scans
    tell?.(scores[i]!, rate, sensitivity)
  }
  while (result.length < rates.length) result.push(sensitivity)
  return result
}

function intervalOf(events: Events, scans: number, seed: number): Interval {
  const random = new Random(seed, 'evaluation/froc')
  const means = new Float64Array(redrawings)
  const weights = new Uint32Array(scans)
  for (let round = 0; round < redrawings; ) {
    weights.fill(0)
    for (let i = 0; i < scans; i++) weights[random.integer(0, scans)]!++
    if (!weights.some((weight, i) => weight > 0 && events.nodules[i]! > 0)) continue
    means[round++] = meanAndDeviation(walk(events, weights)).mean
  }
  means.sort()
  return [quantile(means, 0.025), quantile(means, 0.975)]
}
