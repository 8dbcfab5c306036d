import { expect, test } from 'vitest'
import { philox, Random } from '../src/random.js'

test('Philox4x32-10 gives the known answers of its authors', () => {
  // Random123 1.14, tests/kat_vectors: counter, key -> words.
  const known = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const
  for (const [[c0, c1, c2, c3], [k0, k1], words] of known) {
    const result = new Uint32Array(4)
    philox(result, c0, c1, c2, c3, k0, k1)
    expect([...result]).toEqual(words)
  }
})

test('a stream is named by seed, purpose and indices, and repeats', () => {
  const draws = (random: Random) => Array.from({ length: 9 }, () => random.uint32())
  expect(draws(new Random(7, 'crops', 1, 2))).toEqual(draws(new Random(7, 'crops', 1, 2)))
  const others = [
    new Random(8, 'crops', 1, 2),
    new Random(7, 'noise', 1, 2),
    new Random(7, 'crops', 2, 2),
    new Random(7 + 2 ** 32, 'crops', 1, 2),
  ]
  for (const other of others) expect(draws(other)).not.toEqual(draws(new Random(7, 'crops', 1, 2)))
})

test('draws have the moments of their distributions', () => {
  const random = new Random(1, 'moments')
  const count = 100_000
  const mean = (draw: () => number) =>
    Array.from({ length: count }, draw).reduce((sum, value) => sum + value / count, 0)
  // Five standard errors: 5 * sigma / sqrt(100,000).
  expect(Math.abs(mean(() => random.uniform()) - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(count))
  expect(Math.abs(mean(() => random.normal()))).toBeLessThan(5 / Math.sqrt(count))
  expect(Math.abs(mean(() => random.normal() ** 2) - 1)).toBeLessThan((5 * Math.SQRT2) / Math.sqrt(count))
  expect(Math.abs(mean(() => random.integer(0, 10)) - 4.5)).toBeLessThan((5 * Math.sqrt(8.25)) / Math.sqrt(count))
})

test('a permutation holds every index once', () => {
  const order = new Random(3, 'order').permutation(1000)
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  expect([...order]).not.toEqual(Array.from({ length: 1000 }, (_, i) => i))
})
