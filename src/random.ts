import { SemgenError } from './errors.js'

/**
 * The one source of randomness: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A stream is named, never shared: `new Random(seed, purpose, a, b)` gives the same numbers wherever and whenever it is
 * made, so a sample's draws depend on (seed, purpose, epoch, sample) alone, and a resumed run repeats them.
 *
 * Key: (low 32 bits of the seed, FNV-1a-32 of the purpose). Counter: (block, high 32 bits of the seed, a, b).
 * Each block of four words is handed out in order. `engine/host/philox.h` is the same function in C++.
 */
export class Random {
  readonly #key: readonly [number, number]
  readonly #seedHigh: number
  readonly #a: number
  readonly #b: number
  #block = 0
  readonly #words = new Uint32Array(4)
  #left = 0
  #spareNormal: number | undefined

  constructor(seed: number, purpose: string, a = 0, b = 0) {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new SemgenError('BAD_OPTION', `--seed must be a whole number from 0 to 2^53 - 1, but is ${seed}.`)
    this.#key = [seed >>> 0, fnv1a(purpose)]
    this.#seedHigh = Math.floor(seed / 2 ** 32)
    this.#a = a >>> 0
    this.#b = b >>> 0
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    if (this.#left === 0) {
      philox(this.#words, this.#block++, this.#seedHigh, this.#a, this.#b, this.#key[0], this.#key[1])
      this.#left = 4
    }
    return this.#words[4 - this.#left--]!
  }

  /** Uniform in [low, high), from the upper 24 bits of one word: exact in float32, so native code draws the same. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * ((this.uint32() >>> 8) * 2 ** -24)
  }

  /** A whole number in [low, high): the upper half of a 64-bit product, whose bias is below 2^-32 of a range. */
  integer(low: number, high: number): number {
    if (!(high > low))
      throw new SemgenError('BAD_OPTION', `An integer was to be drawn from the empty range [${low}, ${high}).`)
    return low + Math.floor(this.uint32() * (high - low) * 2 ** -32)
  }

  /** Standard normal (Box and Muller), in pairs. */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const value = this.#spareNormal
      this.#spareNormal = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log((this.uint32() + 1) * 2 ** -32))
    const angle = 2 * Math.PI * this.uint32() * 2 ** -32
    this.#spareNormal = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.uniform() < p
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length)]!
  }

  /** A permutation of 0 .. count - 1 (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = this.integer(0, i + 1)
      const kept = order[i]!
      order[i] = order[j]!
      order[j] = kept
    }
    return order
  }
}

/** Ten rounds of Philox4x32 on the counter (c0, c1, c2, c3) with the key (k0, k1), into four words. */
export function philox(
  words: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const low0 = Math.imul(0xd2511f53, c0)
    const low1 = Math.imul(0xcd9e8d57, c2)
    const next0 = multiplyHigh(0xcd9e8d57, c2) ^ c1 ^ k0
    c2 = (multiplyHigh(0xd2511f53, c0) ^ c3 ^ k1) >>> 0
    c0 = next0 >>> 0
    c1 = low1 >>> 0
    c3 = low0 >>> 0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  words[0] = c0
  words[1] = c1
  words[2] = c2
  words[3] = c3
}

/** The upper word of a 32 x 32 bit product, without BigInt. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const cross = aLow * bHigh + (middle & 0xffff)
  return aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)
}

/** FNV-1a, 32 bits, over the UTF-8 bytes of a purpose. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}
