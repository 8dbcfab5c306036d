import { SemgenError } from '../errors.js'
import { counted } from '../format.js'
import type { Network } from '../nn/index.js'
import { readSafetensors } from '../weights/index.js'

/** What a file of weights says about its network. */
export interface InitialShape {
  readonly baseWidth?: number | undefined
  readonly depth?: number | undefined
}

/**
 * Starts a network from pre-trained weights: every tensor of the same key and shape is taken, the others stay as they
 * were initialised, as the last layer for other outputs and the first for other channels do. What happened is told.
 * @throws SemgenError IO, BAD_FILE, BAD_CHECKPOINT when not even one tensor fits
 */
export async function startFrom(path: string, network: Network): Promise<string[]> {
  const { tensors } = await readSafetensors(path)
  const taken: string[] = []
  const kept: string[] = []
  for (const [key, tensor] of network.tensors) {
    // Counters are not weights: a new training counts anew.
    if (tensor.dtype !== 'f32') continue
    const stored = tensors.get(key)
    if (stored?.dtype === 'F32' && stored.shape.join() === tensor.shape.join()) {
      tensor.write(stored.data as Float32Array)
      taken.push(key)
    } else
      kept.push(
        `${key} (${stored ? `[${stored.shape.join(', ')}] there, [${tensor.shape.join(', ')}] here` : 'not there'})`,
      )
  }
  if (taken.length === 0)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} has no tensor that fits this network: --init takes weights of the same --base-width and --depth.`,
    )
  return [
    `Start: ${counted(taken.length, 'tensor')} of ${path}.`,
    ...(kept.length > 0 ? [`New: ${kept.join(', ')}.`] : []),
  ]
}

/** The shape that weights were made for, where they say so. @throws SemgenError IO, BAD_FILE */
export async function shapeOf(path: string): Promise<InitialShape> {
  const { metadata } = await readSafetensors(path)
  try {
    const { baseWidth, depth } = JSON.parse(metadata.network ?? '{}')
    return { baseWidth, depth }
  } catch {
    return {}
  }
}
