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
