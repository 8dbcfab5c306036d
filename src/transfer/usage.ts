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
