import { expect, it } from 'vitest'
import { mapParallel } from '../src/parallel.js'

const later = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

it('keeps the order of the items, and never more at a time than it may', async () => {
  let [now, most] = [0, 0]
  const squares = await mapParallel([5, 1, 4, 2, 3], 2, async (value, index) => {
    most = Math.max(most, ++now)
    await later(3 * value)
    now--
    return [index, value * value]
  })
  expect(squares).toEqual([5, 1, 4, 2, 3].map((value, index) => [index, value * value]))
  expect(most).toBe(2)
})

it('waits after an error for what is under way, and begins nothing else', async () => {
  const ended: number[] = []
  await expect(
    mapParallel([0, 1, 2, 3], 2, async (value) => {
      await later(value === 0 ? 1 : 10)
      ended.push(value)
      if (value === 0) throw new Error('the first')
    }),
  ).rejects.toThrow('the first')
  expect(ended).toEqual([0, 1])
})
