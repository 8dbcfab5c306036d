import type { PredictOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { parsedJson } from '../json.js'
import { readNetwork, type StoredNetwork } from '../weights/index.js'

/** A network to predict with, as a file holds it. */
export interface FineTuned extends StoredNetwork {
  readonly path: string
  /** What the weights say of themselves: how to feed the network, and what it answers. */
  readonly usage: Readonly<Record<string, unknown>>
}

/**
 * Reads a network and what it says of its use, values that are JSON parsed, from any format that is read and holds both;
 * the folder of a run stands for its best.safetensors.
 * @throws SemgenError as readNetwork
 */
export async function readFineTuned(path: string): Promise<FineTuned> {
  const network = await readNetwork(path)
  const usage = Object.entries(network.metadata).map(([key, value]) => [key, parsedJson(value, value)])
  return { ...network, path, usage: Object.fromEntries(usage) }
}

/** What predict is asked for, with the batch that was chosen. */
export type BatchedOptions = PredictOptions & { readonly batch: number }

/** Windows, or images, of a run of the network where nothing says how many. */
const usualBatch = 4
const mostBatch = 4096

/**
 * Windows, or images, of a run of the network: as many as asked for, or as networks were trained with that normalise by
 * the batch's statistics, since with others they answer differently. Batches of one are instance normalisation (Ulyanov et
 * al. 2016).
 * @throws SemgenError BAD_CHECKPOINT where such networks were trained with different batches, and nobody says which
 */
export function batchFor(
  networks: readonly Pick<FineTuned, 'path' | 'shape' | 'usage'>[],
  asked: number | undefined,
): number {
  if (asked !== undefined) return asked
  const trained = networks.flatMap(({ path, shape, usage: { batch } }) =>
    shape.norm === 'batch' && Number.isInteger(batch) && Number(batch) >= 1 ? [{ path, batch: Number(batch) }] : [],
  )
  const [first] = trained
  const other = trained.find(({ batch }) => batch !== first!.batch)
  if (other)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${other.path} was trained with batches of ${other.batch}, and ${first!.path} of ${first!.batch}, and both normalise by the batch: predict with each by itself, or say --batch.`,
    )
  return Math.min(first?.batch ?? usualBatch, mostBatch)
}
