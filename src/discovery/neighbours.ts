import type { Engine } from '../engine/index.js'
import type { EmbeddingSummary } from './patterns.js'

/** Scans near one scan, nearest first. */
export interface Neighbour {
  /** Index among the scans searched. */
  readonly index: number
  /** Euclidean, in latent space. */
  readonly distance: number
}

/** Latent vectors of scans, [scans, width]. */
export interface Latents {
  readonly values: Float32Array
  readonly width: number
}

export const latentCount = ({ values, width }: Latents): number => values.length / width

/**
 * The `k` scans of `among` nearest to each of `queries` (indices into `from`), exactly; ties by lower index.
 * Where `from` and `among` are the same scans, each scan comes first among its own neighbours, even beside a twin.
 */
export async function nearestScans(
  engine: Engine,
  from: Latents,
  queries: readonly number[],
  among: Latents,
  k: number,
): Promise<Neighbour[][]> {
  const { width } = from
  const most = Math.min(k, latentCount(among))
  if (most === 0 || queries.length === 0) return queries.map(() => [])
  const rows = new Float32Array(queries.length * width)
  for (const [row, query] of queries.entries())
    rows.set(from.values.subarray(query * width, (query + 1) * width), row * width)
  const { indices, distances } = await engine.nearest(rows, among.values, width, most)
  return queries.map((query, row) => {
    const found = Array.from({ length: most }, (_, i) => ({
      index: indices[row * most + i]!,
      distance: distances[row * most + i]!,
    }))
    if (from !== among) return found
    return [{ index: query, distance: 0 }, ...found.filter(({ index }) => index !== query)].slice(0, most)
  })
}

/** Lists made together: enough that reading all latents costs little beside computing with them. */
const together = 64

/**
 * Of each scan asked for, the `k` nearest of the same set, itself first; made when they are asked for. A discovery asks
 * for a few scans of a large cohort, and all against all would grow with the cohort's square.
 */
export class NeighbourLists {
  readonly #lists = new Map<number, readonly Neighbour[]>()

  constructor(
    private readonly engine: Engine,
    private readonly latents: Latents,
    private readonly k: number,
  ) {}

  /** @param soon scans likely to be asked for next, the likeliest first: they are searched in the same pass */
  async of(scan: number, soon: Iterable<number> = []): Promise<readonly Neighbour[]> {
    const known = this.#lists.get(scan)
    if (known) return known
    const asked = new Set([scan])
    for (const other of soon) {
      if (asked.size === together) break
      if (!this.#lists.has(other)) asked.add(other)
    }
    const found = await nearestScans(this.engine, this.latents, [...asked], this.latents, this.k)
    for (const [i, query] of [...asked].entries()) this.#lists.set(query, found[i]!)
    return this.#lists.get(scan)!
  }
}

/** Scans whose nearest ones are listed for people, and how many of them. */
const summarized = { scans: 12, neighbours: 5 }

/** The nearest scans of the first references, themselves left out: what the report shows. */
export async function nearestSummary(
  engine: Engine,
  latents: Latents,
  ids: readonly string[],
  references: readonly number[],
): Promise<EmbeddingSummary['nearest']> {
  const queries = [...new Set(references)].slice(0, summarized.scans)
  const found = await nearestScans(engine, latents, queries, latents, summarized.neighbours + 1)
  return queries.map((query, row) => ({
    scan: ids[query]!,
    neighbours: found[row]!.slice(1).map(({ index, distance }) => ({ scan: ids[index]!, distance })),
  }))
}
