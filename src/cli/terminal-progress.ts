import type { WriteStream } from 'node:tty'
import { MultiBar } from 'cli-progress'
import { duration, figure, printable } from '../format.js'
import type { Progress, Task } from '../progress.js'
import { coloursFor } from './colours.js'

export interface TerminalProgress extends Progress {
  /** Takes bars off the screen and shows the cursor again: before an exit that leaves tasks open. */
  close(): void
}

/**
 * How work tells of itself on a command line: bars on a terminal, elsewhere a plain line at most every few seconds a
 * task. All of it goes to standard error; standard output carries only a command's result, so that it can be piped.
 */
export function terminalProgress(stream: WriteStream = process.stderr): TerminalProgress {
  return stream.isTTY ? new Bars(stream) : new Lines(stream)
}

/** Seconds between two lines of one task where there is no terminal. */
const linePeriod = 5

class Lines implements TerminalProgress {
  readonly #stream: Pick<WriteStream, 'write'>

  constructor(stream: Pick<WriteStream, 'write'>) {
    this.#stream = stream
  }

  say(line: string): void {
    this.#stream.write(`${printable(line)}\n`)
  }

  warn(line: string): void {
    this.say(`warning: ${line}`)
  }

  begin(label: string, total: number, unit: string): Task {
    const course = new Course(label, total, unit)
    let printed = { time: Date.now(), line: '' }
    const print = (ended = false) => {
      const line = `${course.label}: ${course.text(ended)}\n`
      if (line !== printed.line) this.#stream.write(line)
      printed = { time: Date.now(), line }
    }
    return {
      advance: (by = 1, figures = {}) => {
        course.advance(by, figures)
        // Most tasks end with their last advance, which then is told once.
        const complete = by > 0 && course.done >= course.total
        if (!complete && Date.now() - printed.time >= linePeriod * 1000) print()
      },
      end: () => print(true),
    }
  }

  close(): void {}
}

class Bars implements TerminalProgress {
  readonly #stream: WriteStream
  readonly #open = new Set<Task>()
  #bars: MultiBar | undefined

  constructor(stream: WriteStream) {
    this.#stream = stream
  }

  say(line: string): void {
    this.#print(printable(line))
  }

  warn(line: string): void {
    this.#print(`${coloursFor(this.#stream).yellow('warning:')} ${printable(line)}`)
  }

  #print(line: string): void {
    if (!this.#bars) {
      this.#stream.write(`${line}\n`)
      return
    }
    // Above the bars.
    this.#bars.log(`${line}\n`)
    this.#bars.update()
  }

  begin(label: string, total: number, unit: string): Task {
    const course = new Course(label, total, unit)
    this.#bars ??= new MultiBar({
      stream: this.#stream,
      format: (_options, _params, payload: { course: Course }) => this.#draw(payload.course),
      clearOnComplete: true,
      hideCursor: true,
      forceRedraw: true,
      fps: 5,
    })
    const bar = this.#bars.create(total, 0, { course })
    const task: Task = {
      advance: (by = 1, figures = {}) => course.advance(by, figures),
      end: () => {
        if (!this.#open.delete(task)) return
        if (this.#open.size === 0) this.close()
        else this.#bars?.remove(bar)
        this.say(`${label}: ${course.text(true)}`)
      },
    }
    this.#open.add(task)
    return task
  }

  close(): void {
    this.#bars?.stop()
    this.#bars = undefined
    this.#open.clear()
  }

  #draw(course: Course): string {
    const share = course.total > 0 ? Math.min(1, course.done / course.total) : 1
    const width = Math.max(8, Math.min(30, this.#stream.columns - 70))
    const full = Math.round(share * width)
    const bar = `${'█'.repeat(full)}${'░'.repeat(width - full)}`
    return `${course.label} ${bar} ${course.text()}`.slice(0, this.#stream.columns - 1)
  }
}

/** How far a task is, how fast it goes and how long it will take. */
class Course {
  readonly label: string
  readonly total: number
  readonly #unit: string
  readonly #started = Date.now()
  /** Times and counts of the latest reports: the rate is theirs, so that it follows a change of pace. */
  readonly #recent: { time: number; done: number }[] = []
  #figures: Record<string, string> = {}
  done = 0

  constructor(label: string, total: number, unit: string) {
    this.label = printable(label)
    this.total = total
    this.#unit = unit
    this.#recent.push({ time: this.#started, done: 0 })
  }

  advance(by: number, figures: Record<string, string>): void {
    this.done += by
    // What a resumed run reports at once was done before: it says nothing about the pace.
    if (by > 1 && this.#recent.length === 1 && Date.now() - this.#started < 100) this.#recent.length = 0
    this.#figures = { ...this.#figures, ...figures }
    if (by === 0) return
    this.#recent.push({ time: Date.now(), done: this.done })
    if (this.#recent.length > 50) this.#recent.shift()
  }

  /** "12/100 steps · loss 0.0123 · 4.1 steps/s · 20 s left" */
  text(ended = false): string {
    const first = this.#recent[0]!
    const last = this.#recent.at(-1)!
    const rate = last.time > first.time ? (last.done - first.done) / ((last.time - first.time) / 1000) : 0
    const parts = [
      `${this.done}/${this.total} ${this.#unit}`,
      ...Object.entries(this.#figures).flatMap(([name, value]) => (value === '' ? [] : [`${name} ${value}`])),
    ]
    const passed = duration((Date.now() - this.#started) / 1000)
    // The last step's validation is still to come.
    if (this.done >= this.total) parts.push(ended ? `in ${passed}` : `${passed} so far`)
    else if (rate > 0) {
      // Counts down between reports, which may be half a minute apart.
      const left = (this.total - this.done) / rate - (Date.now() - last.time) / 1000
      parts.push(`${figure(rate)} ${this.#unit}/s`, `${duration(Math.max(0, left))} left`)
    }
    return parts.join(' · ')
  }
}
