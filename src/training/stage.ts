import { performance } from 'node:perf_hooks'
import type { Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { figure, percent } from '../format.js'
import { exhausted, track } from '../learning/best.js'
import { restoreOptimizer } from '../learning/optimizer-state.js'
import { afterValidation, learningRateAt } from '../learning/schedule.js'
import type { Figures } from '../nn/index.js'
import type { Task } from '../progress.js'
import { type Checkpoint, writeCheckpoint, writeWeights } from './checkpoint.js'
import type { Job } from './job.js'
import type { MetricsLog } from './metrics-log.js'
import { type StagePlan, stepsOf } from './plan.js'
import { noSums, type RunState, type StageResult } from './state.js'
import type { ValidationFigures } from './validation.js'

/** Past this multiple of the loss of a network that knows nothing, a stage has run away. */
const runaway = 10
const advice = 'last.safetensors holds weights from before it; try a lower --learning-rate.'

/** Figures of one training step; what a task does not have is 0. */
export type StepFigures = Figures & { readonly gradientNorm: number; readonly finite: boolean }

/** What a stage runs. Opened for it, and closed after it. */
export interface StageParts {
  readonly step: {
    /** Moments and step count, by name. */
    readonly optimizerState: ReadonlyMap<string, Tensor>
    run(learningRate: number): Promise<StepFigures>
    dispose(): void
  }
  /** Fills the step's inputs. */
  readonly feed: {
    /** Hands over the batch of `step`, from 0 within the stage, and returns the seconds waited for it. */
    supply(step: number): Promise<number>
    settle(): Promise<void>
  }
  /**
   * Loss of a network that knows nothing, where the task says it: a stage may begin with one that knows a lot. Elsewhere it
   * is that of the first step.
   */
  readonly knowingNothing?: number
  readonly validation: {
    /**
     * @param report called with the share that is done
     * @throws what the signal was aborted with
     */
    run(signal?: AbortSignal, report?: (share: number) => void): Promise<ValidationFigures>
    dispose(): void
  }
}

/** One stage of a run: its programs, its data, and the run's state as it moves on. */
export class Stage {
  state: RunState
  readonly #job: Job
  readonly #plan: StagePlan
  readonly #log: MetricsLog
  readonly #parts: StageParts
  #saved = performance.now()
  /** Steps and seconds since the last line of the log, and those seconds that were spent waiting for cubes. */
  #clock = { steps: 0, seconds: 0, waiting: 0 }

  /** @param from the checkpoint to go on from, where it lies within this stage; the network has its weights already */
  constructor(job: Job, log: MetricsLog, state: RunState, from?: Checkpoint) {
    this.#job = job
    this.#log = log
    this.state = state
    this.#plan = job.plan.stages[state.stage]!
    this.#parts = job.open(this.#plan)
    if (from) restoreOptimizer(job.files.last, this.#parts.step.optimizerState, from.optimizer)
  }

  /**
   * Trains until the stage's end: its last epoch, or early stopping.
   * @throws SemgenError DIVERGED; whatever the signal was aborted with, after the checkpoint has been written
   */
  async run(task: Task, signal?: AbortSignal): Promise<StageResult> {
    const { epochs, stepsPerEpoch } = this.#plan
    try {
      for (;;) {
        if (this.state.validated < Math.floor(this.state.step / stepsPerEpoch)) await this.#validate(task, signal)
        const stopped = exhausted(this.state.best, this.#job.plan.patience)
        if (stopped || this.state.validated === epochs) return this.#result(stopped ? 'patience' : 'finished')
        signal?.throwIfAborted()
        await this.#train(task)
        if (performance.now() - this.#saved > this.#job.checkpointSeconds * 1000) await this.save()
      }
    } catch (error) {
      // Only a stop on demand leaves a state worth keeping; after any other error the last checkpoint is the good one.
      if (signal?.aborted && error === signal.reason) await this.save()
      throw error
    } finally {
      await this.#parts.feed.settle()
    }
  }

  /** Writes last.safetensors. */
  async save(): Promise<void> {
    const { network, files, fingerprint } = this.#job
    await writeCheckpoint(files.last, network, this.#parts.step.optimizerState, {
      state: this.state,
      logBytes: await this.#log.sync(),
      fingerprint,
    })
    this.#saved = performance.now()
  }

  dispose(): void {
    this.#parts.step.dispose()
    this.#parts.validation.dispose()
  }

  async #train(task: Task): Promise<void> {
    const { batch, logEvery } = this.#job.plan
    const { step } = this.state
    const epoch = Math.floor(step / this.#plan.stepsPerEpoch)
    const start = performance.now()
    const waited = await this.#parts.feed.supply(step)
    const learningRate = learningRateAt(this.#plan.schedule, this.state.schedule, {
      epoch,
      step,
      steps: stepsOf(this.#plan),
    })
    const figures = await this.#parts.step.run(learningRate)
    this.#checkLoss(figures, epoch)
    const seconds = (performance.now() - start) / 1000
    this.#clock.steps++
    this.#clock.seconds += seconds
    this.#clock.waiting += waited
    const { sums } = this.state
    this.state = {
      ...this.state,
      step: step + 1,
      totalSteps: this.state.totalSteps + 1,
      firstLoss: this.state.firstLoss ?? figures.loss,
      seconds: this.state.seconds + seconds,
      sums: {
        steps: sums.steps + 1,
        loss: sums.loss + figures.loss,
        restoration: sums.restoration + figures.restoration,
        classification: sums.classification + figures.classification,
        correct: sums.correct + figures.correct,
        gradientNorm: sums.gradientNorm + figures.gradientNorm,
      },
    }
    const { restorationWeight, classificationWeight } = this.#plan
    task.advance(1, {
      loss: figure(figures.loss),
      ...(restorationWeight > 0 ? { restoration: figure(figures.restoration) } : {}),
      ...(classificationWeight > 0 ? { accuracy: percent(figures.correct / batch) } : {}),
      'cubes/s': (batch / seconds).toFixed(1),
    })
    if (this.state.step % logEvery === 0) await this.#tell(epoch + 1, learningRate)
  }

  /** The line of the log for the steps since the last one. */
  async #tell(epoch: number, learningRate: number): Promise<void> {
    const { sums } = this.state
    const { restorationWeight, classificationWeight, name } = this.#plan
    const cubes = sums.steps * this.#job.plan.batch
    const { steps, seconds, waiting } = this.#clock
    await this.#log.write({
      event: 'step',
      step: this.state.totalSteps,
      stage: name,
      epoch,
      loss: sums.loss / sums.steps,
      ...(restorationWeight > 0 ? { restoration: sums.restoration / sums.steps } : {}),
      ...(classificationWeight > 0
        ? { classification: sums.classification / sums.steps, accuracy: sums.correct / cubes }
        : {}),
      learningRate,
      gradientNorm: sums.gradientNorm / sums.steps,
      // After a resume the clock has seen fewer steps than the sums have.
      cubesPerSecond: (steps * this.#job.plan.batch) / seconds,
      waiting: waiting / seconds,
    })
    this.state = { ...this.state, sums: noSums }
    this.#clock = { steps: 0, seconds: 0, waiting: 0 }
  }

  #checkLoss(figures: StepFigures, epoch: number): void {
    const { firstLoss } = this.state
    const where = `in epoch ${epoch + 1} of the ${this.#plan.name} stage (step ${this.state.totalSteps + 1})`
    if (!Number.isFinite(figures.loss) || !figures.finite)
      throw new SemgenError('DIVERGED', `Training diverged ${where}: the loss or its gradient is no number. ${advice}`)
    const untrained = firstLoss !== null && Math.max(firstLoss, this.#parts.knowingNothing ?? 0)
    if (untrained !== false && figures.loss > runaway * untrained)
      throw new SemgenError(
        'DIVERGED',
        `Training diverged ${where}: the loss is ${figure(figures.loss)}, and a network that knows nothing has ${figure(untrained)}. ${advice}`,
      )
  }

  async #validate(task: Task, signal?: AbortSignal): Promise<void> {
    const start = performance.now()
    const found = await this.#parts.validation.run(signal, (share) =>
      task.advance(0, { validating: share < 1 ? percent(share) : '' }),
    )
    if (!Number.isFinite(found.loss))
      throw new SemgenError(
        'DIVERGED',
        `Training diverged: the validation loss after epoch ${this.state.validated + 1} of the ${this.#plan.name} stage is no number. ${advice}`,
      )
    const epoch = this.state.validated + 1
    const { improved, ...best } = track(this.state.best, found.loss, epoch)
    if (improved)
      await writeWeights(this.#job.files.best, this.#job.network, {
        ...this.#job.usage,
        stage: this.#plan.name,
        epoch,
        figures: found,
      })
    this.state = {
      ...this.state,
      validated: epoch,
      best,
      bestFigures: improved ? found : this.state.bestFigures,
      schedule: afterValidation(this.#plan.schedule, this.state.schedule, found.loss),
      seconds: this.state.seconds + (performance.now() - start) / 1000,
    }
    await this.#log.write({
      event: 'validation',
      step: this.state.totalSteps,
      stage: this.#plan.name,
      epoch,
      ...found,
      best: improved,
    })
    task.advance(0, { 'validation loss': figure(found.loss), best: `${figure(best.loss!)} (epoch ${best.epoch})` })
  }

  #result(reason: StageResult['reason']): StageResult {
    const { best, bestFigures, validated } = this.state
    return { stage: this.#plan.name, epoch: best.epoch, epochs: validated, reason, figures: bestFigures! }
  }
}
