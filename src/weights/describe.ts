import { stat } from 'node:fs/promises'
import { parsedJson } from '../json.js'
import type { Dtype } from './dtypes.js'
import { kindOf, type TensorKind } from './kinds.js'
import { openWeights } from './open.js'
import { elements } from './safetensors.js'
import type { WeightsFormat } from './weights-file.js'

/** What a weights file holds, as `weights show` tells it. */
export interface WeightsDescription {
  readonly path: string
  readonly bytes: number
  readonly format: WeightsFormat
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
  /** What the file says of itself; values that are JSON are parsed, unless they are nested far too deep to be written again. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/**
 * Describes a file of weights without reading its elements.
 * @throws SemgenError IO, BAD_FILE or UNSUPPORTED as openWeights
 */
export async function describeWeights(path: string): Promise<WeightsDescription> {
  const file = await openWeights(path)
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
      format: file.format,
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

/** Reading JSON takes any depth, writing it does not: what is nested deeper than anybody means stays text. */
function parsed(text: string): unknown {
  const value = parsedJson(text, text)
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > 100) return text
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []))
  }
  return value
}
