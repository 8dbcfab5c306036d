import { expect, test } from 'vitest'
import { besidePerturbed, range, three } from '../src/format.js'

test('figures of an evaluation have three decimals, and what there is not is a dash', () => {
  expect([three(0.91249), three(1), three(undefined)]).toEqual(['0.912', '1.000', '–'])
  expect([range([0.5, 0.98765]), range(undefined)]).toEqual(['0.500 to 0.988', '–'])
})

test('restored cubes are told beside the perturbed ones whichever way they went', () => {
  expect(besidePerturbed(0.01, 0.0312)).toBe('3.12 times below the perturbed input’s 0.0312')
  expect(besidePerturbed(0.02, 0.01)).toBe('2 times above the perturbed input’s 0.01')
})
