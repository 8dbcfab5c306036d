import { kindOf } from './kinds.js'
import { keyPrefix } from './network-shape.js'
import { asNumbers } from './numbers.js'
import { openWeights } from './open.js'
import { elements, type StoredTensor } from './safetensors.js'
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
    else tensors.push(difference(key, await a.read(inA), await b.read(inB)))
  }
  const onlyA = [...keysA.keys()].filter((key) => !keysB.has(key))
  const onlyB = [...keysB.keys()].filter((key) => !keysA.has(key))
  const same = [onlyA, onlyB, otherShape, tensors.filter(({ different }) => different > 0)].every(
    ({ length }) => length === 0,
  )
  return { a: a.path, b: b.path, same, onlyA, onlyB, otherShape, tensors }
}

/** Keys in the file by their keys in the network: short where the file has not the short one too. */
function plainKeys(file: WeightsFile): Map<string, string> {
  const prefix = keyPrefix(file) ?? ''
  const own = [...file.entries.keys()].filter((key) => kindOf(key) !== 'optimizer')
  const plain = (key: string) => {
    const short = key.startsWith(prefix) ? key.slice(prefix.length) : key
    return file.entries.has(short) ? key : short
  }
  return new Map(own.map((key) => [plain(key), key]))
}

function difference(key: string, inA: StoredTensor, inB: StoredTensor): TensorDifference {
  const [a, b, count] = [asNumbers(inA), asNumbers(inB), elements(inA.shape)]
  const [wholeA, wholeB] = [wide(inA), wide(inB)]
  let different = 0
  let largest = 0
  let squares = 0
  let size = 0
  for (let i = 0; i < count; i++) {
    const [x, y] = [a[i]!, b[i]!]
    size += x * x
    if (wholeA && wholeB ? wholeA[i] === wholeB[i] : x === y || (Number.isNaN(x) && Number.isNaN(y))) continue
    different++
    const apart = wholeA && wholeB ? Number(wholeB[i]! - wholeA[i]!) : y - x
    const distance = Number.isFinite(apart) ? Math.abs(apart) : Number.POSITIVE_INFINITY
    largest = Math.max(largest, distance)
    squares += distance * distance
  }
  return { key, elements: count, different, largest, relative: squares === 0 ? 0 : Math.sqrt(squares / size) }
}

/** 64-bit integers as they are stored: as numbers, those past 2^53 that differ look alike. */
const wide = ({ data }: StoredTensor) =>
  data instanceof BigInt64Array || data instanceof BigUint64Array ? data : undefined
