import { expect, it } from 'vitest'
import { courseOf } from '../../src/report/metrics.js'
import { fakeEvents } from './fake-run.js'

it('leaves out what a resume took back', () => {
  const course = courseOf(fakeEvents())
  // Steps 61 to 70 were made twice; the first time was lost with the process.
  expect(course.steps.map(({ step }) => step)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
  expect(course.validations.map(({ step }) => step)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
  expect(course.stages.map(({ stage }) => stage)).toEqual(['classification', 'joint'])
  expect(course.resumes.map(({ step }) => step)).toEqual([60])
})

it('counts the time at work: 18.25 minutes before the kill, 12 after the resume', () => {
  expect(courseOf(fakeEvents()).seconds).toBe((18.25 + 12) * 60)
})

it('an end that was resumed is none', () => {
  const events = fakeEvents()
  const resumed = courseOf([...events, { event: 'resume', time: '2026-03-02T09:00:00Z', step: 100 }])
  expect(resumed.end).toBeUndefined()
  expect(courseOf(events).end?.reason).toBe('finished')
})
