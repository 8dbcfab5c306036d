import { performance } from 'node:perf_hooks'
import type { Tensor } from '../engine/index.js'
import type { Extents } from '../extents.js'
import { type Batch, type CubeMaker, emptyBatch } from './cubes.js'
import type { Sampler } from './sampler.js'

/** What a step reads. */
export interface StepInputs {
  readonly input: Tensor
  readonly target: Tensor
  readonly labels: Tensor
}

/** Hands a batch to the engine. */
export function load(batch: Batch, into: StepInputs): void {
  into.input.write(batch.input)
  into.target.write(batch.target)
  into.labels.write(batch.labels)
}

/**
 * Keeps the engine fed: while a step runs on its own copy, the next batch is filled. A step waits only where making
 * cubes takes longer than learning from them, and how long it waited is told.
 */
export class Feed {
  readonly #maker: CubeMaker
  readonly #sampler: Sampler
  readonly #purpose: string
  readonly #batch: number
  readonly #filled: Batch
  #pending: { step: number; done: Promise<void> } | undefined

  constructor(maker: CubeMaker, sampler: Sampler, options: { purpose: string; batch: number; patch: Extents }) {
    this.#maker = maker
    this.#sampler = sampler
    this.#purpose = options.purpose
    this.#batch = options.batch
    this.#filled = emptyBatch(options.batch, options.patch)
  }

  /** Hands over the batch of `step`, begins the one after it, and returns the seconds waited. */
  async supply(step: number, into: StepInputs): Promise<number> {
    const start = performance.now()
    if (this.#pending?.step !== step) {
      await this.settle()
      this.#begin(step)
    }
    await this.#pending!.done
    const waited = (performance.now() - start) / 1000
    load(this.#filled, into)
    this.#begin(step + 1)
    return waited
  }

  /** Waits for cubes under way, so that scans can be closed. Whatever failed there no longer matters. */
  async settle(): Promise<void> {
    await this.#pending?.done.catch(() => {})
    this.#pending = undefined
  }

  #begin(step: number): void {
    const done = this.#maker.make(this.#purpose, this.#sampler.batch(step, this.#batch), this.#filled)
    // A failure is reported to whoever waits for this batch; until then it must not count as unhandled.
    done.catch(() => {})
    this.#pending = { step, done }
  }
}
