/** How long work tells of itself. The command line draws bars or lines; libraries and tests pass `silent`. */
export interface Progress {
  /** One line for people. */
  say(line: string): void
  /** One line about something that needs attention but does not stop the work. */
  warn(line: string): void
  /** Begins a piece of work of `total` steps, counted in `unit` ("scans", "steps"). */
  begin(label: string, total: number, unit: string): Task
}

export interface Task {
  /**
   * Reports `by` further steps, with figures to show beside them ({ loss: '0.0123', 'cubes/s': '41' }) until others of
   * their names come; an empty one takes its name away.
   */
  advance(by?: number, figures?: Record<string, string>): void
  /** Ends the piece of work; the bar, if any, goes away. */
  end(): void
}

export const silent: Progress = {
  say() {},
  warn() {},
  begin: () => ({ advance() {}, end() {} }),
}
