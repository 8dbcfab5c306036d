import { expect, test } from 'vitest'
import { range, three } from '../src/format.js'

test('figures of an evaluation have three decimals, and what there is not is a dash', () => {
  expect([three(0.91249), three(1), three(undefined)]).toEqual(['0.912', '1.000', '–'])
  expect([range([0.5, 0.98765]), range(undefined)]).toEqual(['0.500 to 0.988', '–'])
})
