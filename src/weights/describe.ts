import { stat } from 'node:fs/promises'
import type { Dtype } from './dtypes.js'
import { elements, SafetensorsFile } from './safetensors.js'

/** What a weights file holds, as `weights show` tells it. */
export interface WeightsDescription {
  readonly path: string
  readonly bytes: number
  /** The keys of the network's state dict; moments and counters of an optimizer are not among them. */
  readonly keys: number
  /** Numbers that training moves: batch-norm statistics are not among them. */
  readonly parameters: number
  readonly tensors: readonly {
    readonly key: string
    readonly dtype: Dtype
    readonly shape: readonly number[]
    readonly elements: number
    readonly kind: TensorKind
  }[]
  /** What the file says of itself; values that are JSON are parsed. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** `statistic`: batch-norm buffers. `optimizer`: moments and step count of a checkpoint. */
export type TensorKind = 'parameter' | 'statistic' | 'optimizer'

/** The prefix of an optimizer's tensors in a checkpoint. */
export const optimizerPrefix = 'optimizer.'

export function kindOf(key: string): TensorKind {
  if (key.startsWith(optimizerPrefix)) return 'optimizer'
  return /(^|\.)(running_mean|running_var|num_batches_tracked)$/.test(key) ? 'statistic' : 'parameter'
}

/**
 * Describes a safetensors file from its header alone.
 * @throws SemgenError IO or BAD_FILE as SafetensorsFile.open
 */
export async function describeWeights(path: string): Promise<WeightsDescription> {
  const file = await SafetensorsFile.open(path)
  try {
    const tensors = [...file.entries].map(([key, { dtype, shape }]) => ({
      key,
      dtype,
      shape,
      elements: elements(shape),
      kind: kindOf(key),
    }))
    return {
      path,
      bytes: (await stat(path)).size,
      keys: tensors.filter(({ kind }) => kind !== 'optimizer').length,
      parameters: tensors
        .filter(({ kind }) => kind === 'parameter')
        .reduce((total, tensor) => total + tensor.elements, 0),
      tensors,
      metadata: Object.fromEntries(Object.entries(file.metadata).map(([key, text]) => [key, parsed(text)])),
    }
  } finally {
    await file.close()
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
