import { kindOf } from './kinds.js'
import { keyPrefix } from './network-shape.js'
import { asNumbers } from './numbers.js'
import { openWeights } from './open.js'
import { elements } from './safetensors.js'
import type { WeightsFile } from './weights-file.js'

/** How one tensor of the same key and shape differs between two files. */
export interface TensorDifference {
  readonly key: string
  readonly elements: number
  /** Elements that are not the same number. */
  readonly different: number
  /** The largest distance of two elements; Infinity where one is no finite number. */
  readonly largest: number
  /** |b - a| / |a|, both in the Euclidean norm. */
  readonly relative: number
}

export interface WeightsDifference {
  readonly a: string
  readonly b: string
  /** Whether keys, shapes and every number are the same. */
  readonly same: boolean
  readonly onlyA: readonly string[]
  readonly onlyB: readonly string[]
  readonly otherShape: readonly { readonly key: string; readonly a: readonly number[]; readonly b: readonly number[] }[]
  /** In the order of `a`; equal ones too. */
  readonly tensors: readonly TensorDifference[]
}

/**
 * Compares two files of weights of any formats, tensor by tensor; what stands before all keys of a network is left out,
 * and so is the optimizer.
 * @throws SemgenError as openWeights and reading do
 */
export async function compareWeights(a: string, b: string): Promise<WeightsDifference> {
  const first = await openWeights(a)
  try {
    const second = await openWeights(b)
    try {
      return await compared(first, second)
    } finally {
      await second.close()
    }
  } finally {
    await first.close()
  }
}

async function compared(a: WeightsFile, b: WeightsFile): Promise<WeightsDifference> {
  const [keysA, keysB] = [plainKeys(a), plainKeys(b)]
  const tensors: TensorDifference[] = []
  const otherShape: WeightsDifference['otherShape'][number][] = []
  for (const [key, inA] of keysA) {
    const inB = keysB.get(key)
    if (inB === undefined) continue
    const [shapeA, shapeB] = [a.entries.get(inA)!.shape, b.entries.get(inB)!.shape]
    if (shapeA.join() !== shapeB.join()) otherShape.push({ key, a: shapeA, b: shapeB })
    else tensors.push(difference(key, asNumbers(await a.read(inA)), asNumbers(await b.read(inB)), elements(shapeA)))
  }
  const onlyA = [...keysA.keys()].filter((key) => !keysB.has(key))
  const onlyB = [...keysB.keys()].filter((key) => !keysA.has(key))
  const same = [onlyA, onlyB, otherShape, tensors.filter(({ different }) => different > 0)].every(
    ({ length }) => length === 0,
  )
  return { a: a.path, b: b.path, same, onlyA, onlyB, otherShape, tensors }
}

/** Keys in the file by their keys in the network. */
function plainKeys(file: WeightsFile): Map<string, string> {
  const prefix = keyPrefix(file) ?? ''
  const own = [...file.entries.keys()].filter((key) => kindOf(key) !== 'optimizer')
  return new Map(own.map((key) => [key.startsWith(prefix) ? key.slice(prefix.length) : key, key]))
}

function difference(key: string, a: ArrayLike<number>, b: ArrayLike<number>, count: number): TensorDifference {
  let different = 0
  let largest = 0
  let squares = 0
  let size = 0
  for (let i = 0; i < count; i++) {
    const [x, y] = [a[i]!, b[i]!]
    size += x * x
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue
    different++
    const distance = Number.isFinite(y - x) ? Math.abs(y - x) : Number.POSITIVE_INFINITY
    largest = Math.max(largest, distance)
    squares += distance * distance
  }
  return { key, elements: count, different, largest, relative: squares === 0 ? 0 : Math.sqrt(squares / size) }
}
