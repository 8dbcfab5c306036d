import { open } from 'node:fs/promises'
import { SemgenError } from '../errors.js'
import { type MetricsEvent, metricsEvent } from './run-files.js'

type Of<E extends MetricsEvent['event']> = Extract<MetricsEvent, { event: E }>

/** The course of a run as it counts: what a killed process did after its last checkpoint is left out. */
export interface Course {
  readonly stages: readonly Of<'stage'>[]
  readonly steps: readonly Of<'step'>[]
  readonly validations: readonly Of<'validation'>[]
  readonly resumes: readonly Of<'resume'>[]
  /** Figures on the test part of a target task. */
  readonly test: Of<'test'> | undefined
  /** How it ended, where it did and was not resumed after. */
  readonly end: Of<'end'> | undefined
  readonly started: string | undefined
  readonly last: MetricsEvent | undefined
  /** Seconds during which a process was at it. */
  readonly seconds: number
  /** Lines that could not be read: the last line of a killed process may be half a line. */
  readonly unreadable: number
}

/**
 * Reads metrics.jsonl, line by line.
 * @throws SemgenError BAD_FILE when hardly any line is an event: then it is another file
 */
export async function readMetrics(path: string): Promise<Course> {
  const events: MetricsEvent[] = []
  let unreadable = 0
  const file = await open(path)
  try {
    for await (const line of file.readLines()) {
      if (line.trim() === '') continue
      const event = eventOf(line)
      if (event) events.push(event)
      else unreadable++
    }
  } finally {
    await file.close()
  }
  if (unreadable > 1 && unreadable > events.length)
    throw new SemgenError(
      'BAD_FILE',
      `${path} does not hold a run's metrics: ${unreadable} of its lines are no events.`,
    )
  return { ...courseOf(events), unreadable }
}

function eventOf(line: string): MetricsEvent | undefined {
  try {
    return metricsEvent.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

/** Sorts the events of a run, leaving out those that a resume took back. */
export function courseOf(events: readonly MetricsEvent[]): Omit<Course, 'unreadable'> {
  let kept: MetricsEvent[] = []
  for (const event of events) {
    if (event.event === 'resume') kept = kept.filter(({ event: kind, step }) => kind !== 'end' && step <= event.step)
    kept.push(event)
  }
  const of = <E extends MetricsEvent['event']>(kind: E) => kept.filter((event) => event.event === kind) as Of<E>[]
  return {
    // A stage that is begun again after a resume is the same stage.
    stages: of('stage').filter((stage, i, all) => all.findIndex((other) => other.stage === stage.stage) === i),
    steps: of('step'),
    validations: of('validation'),
    resumes: of('resume'),
    test: of('test').at(-1),
    end: of('end').at(-1),
    started: of('start')[0]?.time,
    last: kept.at(-1),
    seconds: workedSeconds(events),
  }
}

/** From every start or resume to the last line before the next. */
function workedSeconds(events: readonly MetricsEvent[]): number {
  let milliseconds = 0
  let begun: number | undefined
  let latest = 0
  for (const event of events) {
    const time = Date.parse(event.time)
    if (begun === undefined || event.event === 'start' || event.event === 'resume') {
      if (begun !== undefined) milliseconds += latest - begun
      begun = time
    }
    latest = time
  }
  if (begun !== undefined) milliseconds += latest - begun
  return milliseconds / 1000
}
