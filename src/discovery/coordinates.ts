import type { Extents } from '../extents.js'
import { Random } from '../random.js'
import { contentOf, densityScore, type SeenScan } from './content.js'
import {
  alongAxes,
  type Box,
  boxAt,
  boxSize,
  type Coordinate,
  coordinateOf,
  type Frame,
  medianSpacing,
  type PlacedScan,
} from './frame.js'
import { type CoordinateRules, distanceIn, placesFor, relaxed, tries } from './rules.js'

export type ReferenceScan = PlacedScan & SeenScan

/** A class to be: where, and in which training scan the place was found. */
export interface Place {
  /** Index of the reference among the training scans. */
  readonly reference: number
  readonly coordinate: Coordinate
}

/** References that a class is looked for in before a rule is relaxed. */
const mostReferences = 25

/**
 * Draws the places of up to `count` classes in training scans. References come in an order drawn by the seed, each serves
 * once, and each is tried 200 times before the next one's turn. A rule that none of 25 references can keep is relaxed, in
 * the order of `relaxed`, and that is told through `notes`. Fewer classes come only when nothing is left to relax.
 */
export function drawPlaces(
  frame: Frame,
  scans: readonly ReferenceScan[],
  rules: CoordinateRules,
  count: number,
  seed: number,
): { places: Place[]; notes: string[] } {
  const notes: string[] = []
  const places: Place[] = []
  const distance = distanceIn(frame, scans)
  const spacing = medianSpacing(scans)
  const order = new References(scans.length, seed)
  let current = rules
  let step = 0
  while (places.length < count) {
    const place = findPlace(frame, scans, current, places, { order, seed, distance, spacing })
    if (place) {
      places.push(place)
      order.used(place.reference)
      continue
    }
    const next = relaxed(frame, current, step++)
    if (!next) break
    current = next.rules
    order.again ||= current.again
    notes.push(`From pattern ${places.length} on, ${next.what}: the rules before left no place.`)
  }
  return { places, notes }
}

interface Search {
  readonly order: References
  readonly seed: number
  readonly distance: (a: Extents, b: Extents) => number
  readonly spacing: Extents
}

function findPlace(
  frame: Frame,
  scans: readonly ReferenceScan[],
  rules: CoordinateRules,
  before: readonly Place[],
  { order, seed, distance, spacing }: Search,
): Place | undefined {
  for (let tried = 0; tried < mostReferences; tried++) {
    const next = order.next()
    if (!next) return undefined
    const scan = scans[next.reference]!
    const size = boxSize(frame, scan)
    const range = placesFor(frame, rules, scan, size, spacing)
    if (!range) continue
    const random = new Random(seed, 'discovery/coordinate', next.draw)
    for (let i = 0; i < tries; i++) {
      const start = alongAxes((axis) => random.integer(range.low[axis], range.high[axis] + 1))
      const coordinate = coordinateOf(frame, scan, { start, size })
      if (before.some((place) => distance(place.coordinate, coordinate) < rules.separation)) continue
      if (acceptable(scan, boxAt(frame, scan, coordinate), rules)) return { reference: next.reference, coordinate }
    }
  }
  return undefined
}

/** Whether what a box shows keeps to the rules. The density rule is one of Hounsfield units: MR has none. */
function acceptable(scan: ReferenceScan, box: Box, rules: CoordinateRules): boolean {
  if (rules.density !== undefined && rules.density < 1 && scan.modality === 'ct')
    if (densityScore(scan, box) > rules.density) return false
  if (rules.tissue === 0 && rules.structure === 0) return true
  const { tissue, structure } = contentOf(scan, box)
  return tissue >= rules.tissue && structure >= rules.structure
}

/** The order in which scans are looked at: rounds, each a permutation drawn by the seed. */
class References {
  /** Whether scans that have served may serve again. */
  again = false
  readonly #scans: number
  readonly #seed: number
  readonly #served = new Set<number>()
  #round = -1
  #order: Uint32Array = new Uint32Array()
  #at = 0
  #draws = 0

  constructor(scans: number, seed: number) {
    this.#scans = scans
    this.#seed = seed
  }

  /** The next reference and a number of its turn; undefined when all have served and none may again. */
  next(): { reference: number; draw: number } | undefined {
    if (!this.again && this.#served.size === this.#scans) return undefined
    for (;;) {
      if (this.#at === this.#order.length) {
        this.#order = new Random(this.#seed, 'discovery/references', ++this.#round).permutation(this.#scans)
        this.#at = 0
      }
      const reference = this.#order[this.#at++]!
      if (this.again || !this.#served.has(reference)) return { reference, draw: this.#draws++ }
    }
  }

  used(reference: number): void {
    this.#served.add(reference)
  }
}
