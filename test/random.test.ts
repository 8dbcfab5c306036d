import { describe, expect, it } from 'vitest'
import { fnv1a, philox, Random } from '../src/random.js'

type Words = [number, number, number, number]

function block(counter: Words, key: [number, number]): number[] {
  const words = new Uint32Array(4)
  philox(words, ...counter, ...key)
  return [...words]
}

describe('Philox4x32-10', () => {
  // The three lines "philox4x32 10" of Random123's tests/kat_vectors.
  it.each([
    ['00000000 00000000 00000000 00000000 00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ])('gives the known answer for counter and key %s', (input, answer) => {
    const words = (text: string) => text.split(' ').map((word) => Number.parseInt(word, 16))
    const [c0, c1, c2, c3, k0, k1] = words(input) as [number, number, number, number, number, number]
    expect(block([c0, c1, c2, c3], [k0, k1])).toEqual(words(answer))
  })

  it('agrees with a version in big integers on many counters', () => {
    const mask = 0xffffffffn
    const reference = (counter: number[], key: number[]) => {
      let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
      let [k0, k1] = key.map(BigInt) as [bigint, bigint]
      for (let round = 0; round < 10; round++) {
        const product0 = 0xd2511f53n * c0
        const product1 = 0xcd9e8d57n * c2
        ;[c0, c1, c2, c3] = [(product1 >> 32n) ^ c1 ^ k0, product1 & mask, (product0 >> 32n) ^ c3 ^ k1, product0 & mask]
        k0 = (k0 + 0x9e3779b9n) & mask
        k1 = (k1 + 0xbb67ae85n) & mask
      }
      return [c0, c1, c2, c3].map(Number)
    }
    const random = new Random(3, 'counters')
    for (let i = 0; i < 2000; i++) {
      const counter = Array.from({ length: 4 }, () => random.uint32()) as Words
      const key = [random.uint32(), random.uint32()] as [number, number]
      expect(block(counter, key)).toEqual(reference(counter, key))
    }
  })
})

describe('Random', () => {
  it('names its stream by seed, purpose and two numbers', () => {
    const first = (...stream: ConstructorParameters<typeof Random>) => new Random(...stream).uint32()
    const seed = 2 ** 40 + 5
    expect(first(seed, 'draws', 7, 9)).toBe(block([0, 2 ** 8, 7, 9], [5, fnv1a('draws')])[0])
    const different = new Set([
      first(1, 'a'),
      first(2, 'a'),
      first(1 + 2 ** 32, 'a'),
      first(1, 'b'),
      first(1, 'a', 1),
      first(1, 'a', 0, 1),
    ])
    expect(different.size).toBe(6)
  })

  it('hashes purposes by FNV-1a', () => {
    // Published test vectors of FNV-1a, 32 bits (Fowler, Noll, Vo).
    expect(fnv1a('')).toBe(0x811c9dc5)
    expect(fnv1a('a')).toBe(0xe40c292c)
    expect(fnv1a('foobar')).toBe(0xbf9cf968)
  })

  it('refuses seeds that are no whole number', () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => new Random(seed, 'x')).toThrow(/--seed/)
  })

  it('is uniform, uncorrelated and stays in its range', () => {
    const random = new Random(11, 'uniform')
    const count = 100_000
    const bins = new Array<number>(64).fill(0)
    let outside = 0
    let sum = 0
    let product = 0
    let last = 0.5
    for (let i = 0; i < count; i++) {
      const value = random.uniform()
      outside += value >= 0 && value < 1 ? 0 : 1
      bins[Math.floor(value * 64)]!++
      sum += value
      product += (value - 0.5) * (last - 0.5)
      last = value
    }
    expect(outside).toBe(0)
    // Five standard deviations each: of the mean, of the lag-1 covariance, of chi-squared with 63 degrees of freedom.
    expect(Math.abs(sum / count - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count))
    expect(Math.abs(product / count)).toBeLessThan((5 / 12) * Math.sqrt(1 / count))
    const expected = count / 64
    const chiSquared = bins.reduce((total, seen) => total + (seen - expected) ** 2 / expected, 0)
    expect(Math.abs(chiSquared - 63)).toBeLessThan(5 * Math.sqrt(2 * 63))
  })

  it('draws integers evenly, both ends included and excluded as documented', () => {
    const random = new Random(12, 'integers')
    const seen = new Map<number, number>()
    for (let i = 0; i < 60_000; i++) {
      const value = random.integer(-2, 4)
      seen.set(value, (seen.get(value) ?? 0) + 1)
    }
    expect([...seen.keys()].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2, 3])
    for (const count of seen.values())
      expect(Math.abs(count - 10_000)).toBeLessThan(5 * Math.sqrt(60_000 * (1 / 6) * (5 / 6)))
    expect(() => random.integer(3, 3)).toThrow(/empty range/)
  })

  it('draws normal numbers', () => {
    const random = new Random(13, 'normal')
    const count = 100_000
    const moments = [0, 0, 0, 0]
    for (let i = 0; i < count; i++) {
      const value = random.normal()
      for (let power = 0; power < 4; power++) moments[power]! += value ** (power + 1) / count
    }
    // Standard deviations of the sample moments of a normal distribution: sqrt(1, 2, 15, 96) / sqrt(count).
    const expected = [0, 1, 0, 3]
    const deviations = [1, 2, 15, 96].map((variance) => Math.sqrt(variance / count))
    for (let power = 0; power < 4; power++)
      expect(Math.abs(moments[power]! - expected[power]!)).toBeLessThan(5 * deviations[power]!)
  })

  it('permutes without losing anything', () => {
    const order = new Random(14, 'permutation').permutation(1000)
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect([...order]).not.toEqual(Array.from({ length: 1000 }, (_, i) => i))
    const again = new Random(14, 'permutation').permutation(1000)
    expect([...again]).toEqual([...order])
  })
})
