import { setImmediate } from 'node:timers/promises'
import type { Extents } from '../extents.js'
import { type Progress, silent } from '../progress.js'
import { Random } from '../random.js'
import { aligned } from './alignment.js'
import { type Content, contentOf, densityScore, resemblance, type SeenScan } from './content.js'
import {
  alongAxes,
  type Box,
  boxAt,
  boxSize,
  type Coordinate,
  coordinateOf,
  type Frame,
  fits,
  medianSpacing,
  type PlacedScan,
} from './frame.js'
import type { Neighbour } from './neighbours.js'
import { type CoordinateRules, distanceIn, placesFor, relaxed, tries } from './rules.js'

export type ReferenceScan = PlacedScan & SeenScan

/** What a scan must show at a class's place to have an instance of it. */
export interface Likeness {
  /** Of the reference there. */
  readonly content: Content
  readonly rules: Pick<CoordinateRules, 'tissue' | 'resemblance'>
}

/** A class to be: where, in which training scan the place was found, and what it looks like there. */
export interface Place extends Likeness {
  /** Index of the reference among the training scans. */
  readonly reference: number
  readonly coordinate: Coordinate
}

/** References that a class is looked for in before a rule is relaxed. */
const mostReferences = 25

/** The scans that a reference's place will be collected from. */
export interface Company {
  /** Training scans near a reference, nearest first, itself the first. Those that are `soon` asked for may be searched with it. */
  of(reference: number, soon: Iterable<number>): Promise<readonly Neighbour[]>
  /** How many of them a class wants. */
  readonly wanted: number
}

/** Neighbours that are looked at before a place is taken: enough to tell, few enough for cohorts on slow disks. */
const mostLookedAt = 24

/**
 * Draws the places of up to `count` classes in training scans. References come in an order drawn by the seed, each serves
 * once, and each is tried 200 times before the next one's turn. A place must keep the rules in its reference, and at least
 * half as many scans as a class wants, of the 24 nearest, must have an instance of it. When all scans have served, they
 * serve again; a rule that none of 25 references can keep is relaxed, in the order of `relaxed`. Both are told in
 * `notes`. Fewer classes come only when nothing is left to relax.
 * @throws whatever the signal was aborted with
 */
export async function drawPlaces(
  frame: Frame,
  scans: readonly ReferenceScan[],
  company: Company,
  rules: CoordinateRules,
  count: number,
  seed: number,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<{ places: Place[]; notes: string[] }> {
  const notes: string[] = []
  const places: Place[] = []
  const order = new References(scans.length, seed)
  const wanted = Math.min(company.wanted, mostLookedAt)
  const search: Search = {
    frame,
    scans,
    company: { of: (reference, soon) => company.of(reference, soon), wanted },
    seed,
    distance: distanceIn(frame, scans),
    spacing: medianSpacing(scans),
    signal,
  }
  const task = progress.begin('Places', count, 'patterns')
  let current = rules
  let step = 0
  try {
    while (places.length < count) {
      if (order.exhausted) {
        order.again = true
        notes.push(`From pattern ${places.length} on, scans serve as reference again: all have served once.`)
      }
      const place = await findPlace(search, order, current, places)
      if (place) {
        places.push(place)
        task.advance()
        order.used(place.reference)
        continue
      }
      const next = relaxed(frame, current, step++)
      if (!next) break
      current = next.rules
      notes.push(`From pattern ${places.length} on, ${next.what}: the rules before left no place.`)
    }
  } finally {
    task.end()
  }
  return { places, notes }
}

interface Search {
  readonly frame: Frame
  readonly scans: readonly ReferenceScan[]
  readonly company: Company
  readonly seed: number
  readonly distance: (a: Coordinate, b: Coordinate) => number
  readonly spacing: Extents
  readonly signal: AbortSignal | undefined
}

async function findPlace(
  search: Search,
  order: References,
  rules: CoordinateRules,
  before: readonly Place[],
): Promise<Place | undefined> {
  const { frame, scans, company, seed, distance, spacing, signal } = search
  const most = Math.min(mostReferences, order.left)
  for (let tried = 0; tried < most; tried++) {
    // Progress is drawn and a stop is heard between two references.
    await setImmediate()
    signal?.throwIfAborted()
    const { reference, draw } = order.next()
    const scan = scans[reference]!
    const size = boxSize(frame, scan)
    const range = placesFor(frame, rules, scan, size, spacing)
    if (!range) continue
    const near = (await company.of(reference, order.ahead())).slice(0, mostLookedAt)
    const random = new Random(seed, 'discovery/coordinate', draw)
    for (let i = 0; i < tries; i++) {
      const start = alongAxes((axis) => random.integer(range.low[axis], range.high[axis] + 1))
      const coordinate = coordinateOf(frame, scan, { start, size })
      if (before.some((place) => distance(place.coordinate, coordinate) < rules.separation)) continue
      const place = acceptable(search, rules, near, coordinate)
      if (place) return place
    }
  }
  return undefined
}

/** The place, if what it shows keeps to the rules, and recurs in the scans near its reference, which is the first of them. */
function acceptable(
  { frame, scans, company }: Search,
  rules: CoordinateRules,
  near: readonly Neighbour[],
  coordinate: Coordinate,
): Place | undefined {
  const reference = near[0]!.index
  const scan = scans[reference]!
  const box = boxAt(frame, scan, coordinate)
  // The density rule is one of Hounsfield units: MR has none.
  if (rules.density !== undefined && rules.density < 1 && scan.modality === 'ct')
    if (densityScore(scan, box) > rules.density) return undefined
  const content = contentOf(scan, box)
  if (content.tissue < rules.tissue || content.structure < rules.structure) return undefined
  const place = { reference, coordinate, content, rules }
  let recurring = 0
  for (const { index } of near) if (instanceIn(frame, scans[index]!, coordinate, place)) recurring++
  return recurring >= company.wanted / 2 ? place : undefined
}

/**
 * A coordinate's box in a scan; in the body frame moved a little, to where it resembles the reference most. Undefined where
 * the scan is too small for it (voxel frame), or shows something else than the reference (body frame): air, where half of
 * the reference's least tissue is asked, or what does not resemble it.
 */
export function instanceIn(
  frame: Frame,
  scan: ReferenceScan,
  coordinate: Coordinate,
  { content, rules }: Likeness,
): Box | undefined {
  const place = boxAt(frame, scan, coordinate)
  if (frame.name === 'voxel' && !fits(place, scan.shape)) return undefined
  if (rules.tissue <= 0 && rules.resemblance <= -1) return place
  const box = aligned(scan, place, content)
  const shown = contentOf(scan, box)
  return shown.tissue >= rules.tissue / 2 && resemblance(content, shown) >= rules.resemblance ? box : undefined
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

  get exhausted(): boolean {
    return this.left === 0
  }

  /** Scans that may still serve. */
  get left(): number {
    return this.again ? this.#scans : this.#scans - this.#served.size
  }

  /** The next reference and the number of its turn, while there is one left. */
  next(): { reference: number; draw: number } {
    for (;;) {
      if (this.#at === this.#order.length) {
        this.#order = new Random(this.#seed, 'discovery/references', ++this.#round).permutation(this.#scans)
        this.#at = 0
      }
      const reference = this.#order[this.#at++]!
      if (this.again || !this.#served.has(reference)) return { reference, draw: this.#draws++ }
    }
  }

  /** What next() will return, to the end of this round. */
  *ahead(): Iterable<number> {
    for (const reference of this.#order.subarray(this.#at))
      if (this.again || !this.#served.has(reference)) yield reference
  }

  used(reference: number): void {
    this.#served.add(reference)
  }
}
