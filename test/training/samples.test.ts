import { expect, test } from 'vitest'
import { shownCrops } from '../../src/training/samples.js'

test('the held-out crops shown are of several patterns, also where eight divides their number', () => {
  // 64 crops of 8 patterns in turn: every eighth would be of pattern 0.
  const shown = shownCrops(64, 0)
  expect(new Set(shown).size).toBe(8)
  expect(new Set(shown.map((crop) => crop % 8)).size).toBeGreaterThan(3)
  expect(shownCrops(64, 0)).toEqual(shown)
  expect([...shownCrops(6, 0)].sort()).toEqual([0, 1, 2, 3, 4, 5])
})
