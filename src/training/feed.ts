import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'

/**
 * Keeps the engine fed: while a step runs on its own copy, the next batch is filled. A step waits only where making
 * a batch takes longer than learning from it, and how long it waited is told.
 */
export class Feed {
  readonly #fill: (step: number) => Promise<void>
  readonly #hand: () => void
  #pending: { step: number; done: Promise<void> } | undefined

  /**
   * @param fill fills the batch of a step, off the JavaScript thread
   * @param hand hands what was filled to the engine
   */
  constructor(fill: (step: number) => Promise<void>, hand: () => void) {
    this.#fill = fill
    this.#hand = hand
  }

  /** Hands over the batch of `step`, begins the one after it, and returns the seconds waited. */
  async supply(step: number): Promise<number> {
    const start = performance.now()
    if (this.#pending?.step !== step) {
      await this.settle()
      this.#begin(step)
    }
    await this.#pending!.done
    const waited = (performance.now() - start) / 1000
    this.#hand()
    this.#begin(step + 1)
    return waited
  }

  /** Waits for a batch under way, so that scans can be closed. Whatever failed there no longer matters. */
  async settle(): Promise<void> {
    await this.#pending?.done.catch(() => {})
    this.#pending = undefined
  }

  #begin(step: number): void {
    // Whoever was supplied begins the step first: drawing crops may wait for the disk, on the JavaScript thread.
    const done = setImmediate().then(() => this.#fill(step))
    // A failure is reported to whoever waits for this batch; until then it must not count as unhandled.
    done.catch(() => {})
    this.#pending = { step, done }
  }
}
