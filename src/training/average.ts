import { SemgenError } from '../errors.js'
import type { Network } from '../nn/index.js'
import type { StoredTensor } from '../weights/index.js'

/** The prefix of its tensors among those of the optimizer. */
const prefix = 'average.'

/** The exponent of an epoch's weight: three quarters of the whole weight are the last 29 % of the epochs'. */
const exponent = 3

/**
 * The average of a network's parameters and statistics over the epochs of a stage: flatter in the loss than where a single
 * step happens to end, and better on what was not seen (Izmailov et al. 2018, Averaging Weights Leads to Wider Optima).
 * Early epochs fade, however many there will be: after epoch n it moves by (exponent + 1) / (n + exponent) of the way, which
 * weighs epoch t about as (t / n)^exponent (Shamir and Zhang 2013, polynomial-decay averaging).
 */
export class WeightAverage {
  readonly #network: Network
  readonly #wanted: boolean
  #values: ReadonlyMap<string, Float32Array | Int32Array> = new Map()

  /** @param wanted whether there is one; else the weights are lent as they are */
  constructor(network: Network, wanted: boolean) {
    this.#network = network
    this.#wanted = wanted
  }

  /**
   * Calls `use` while the network has the average after this epoch. Then its own weights come back; the average moves on
   * only where `use` was through.
   * @param epoch from 1 within the stage
   */
  async lend<T>(epoch: number, use: () => Promise<T>): Promise<T> {
    if (!this.#wanted) return use()
    const own = this.#network.save()
    const share = (exponent + 1) / (epoch + exponent)
    const next = new Map([...own].map(([key, values]) => [key, moved(this.#values.get(key), values, share)]))
    this.#network.load(next)
    try {
      const result = await use()
      this.#values = next
      return result
    } finally {
      this.#network.load(own)
    }
  }

  /** What a checkpoint has to keep of it. */
  get state(): ReadonlyMap<string, { readonly shape: readonly number[]; read(): Float32Array }> {
    return new Map(
      [...this.#values].flatMap(([key, values]) =>
        values instanceof Float32Array
          ? [[prefix + key, { shape: this.#network.tensors.get(key)!.shape, read: () => values }]]
          : [],
      ),
    )
  }

  /**
   * Puts it back.
   * @param stored the optimizer's tensors of a checkpoint
   * @throws SemgenError BAD_CHECKPOINT when it is another network's
   */
  restore(path: string, stored: ReadonlyMap<string, StoredTensor>): void {
    const values = new Map<string, Float32Array>()
    for (const [key, tensor] of this.#network.tensors) {
      const value = stored.get(prefix + key)
      if (!value) continue
      if (value.dtype !== 'F32' || value.shape.join() !== tensor.shape.join())
        throw new SemgenError('BAD_CHECKPOINT', `${path} does not hold the average of ${key} as it is kept.`)
      values.set(key, value.data as Float32Array)
    }
    this.#values = values
  }
}

function moved(
  from: Float32Array | Int32Array | undefined,
  to: Float32Array | Int32Array,
  share: number,
): Float32Array | Int32Array {
  if (!from || to instanceof Int32Array) return to
  return to.map((value, i) => from[i]! + share * (value - from[i]!))
}
