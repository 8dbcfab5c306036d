import { expect, it } from 'vitest'
import { shown } from '../src/errors.js'

it('any value can be shown in an error', () => {
  const circular: unknown[] = []
  circular.push(circular)
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  expect(shown(2n ** 70n)).toBe('1180591620717411303424')
  expect(shown(2n ** 2000n)).toHaveLength(80)
  expect(shown([1n])).toBe('a list')
  expect(shown(circular)).toBe('a list')
  expect(shown({ circular })).toBe('an object')
  expect(shown(deep)).toBe('a list')
  expect(shown([1, 'a'])).toBe('[1,"a"]')
  expect(shown(() => 1)).toBe('function')
})
