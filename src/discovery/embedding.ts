import { performance } from 'node:perf_hooks'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { figure } from '../format.js'
import { exhausted, noBest, track } from '../learning/best.js'
import { restoreOptimizer } from '../learning/optimizer-state.js'
import { afterValidation, initialSchedule, learningRateAt, makeSchedule } from '../learning/schedule.js'
import { EmbeddingStep, EvaluationStep, Network, TrainingStep } from '../nn/index.js'
import { resizeScan } from '../perturb/index.js'
import type { Progress } from '../progress.js'
import { Random } from '../random.js'
import { type EmbeddingState, readEmbedding, type Weights, writeEmbedding } from './embedding-checkpoint.js'
import type { EmbeddingPlan } from './embedding-plan.js'

/** What the auto-encoder sees of a prepared scan. */
export interface WholeScan {
  readonly id: string
  readonly shape: Extents
  readonly voxels: Uint16Array
}

export interface EmbeddingJob {
  readonly engine: Engine
  readonly seed: number
  readonly train: readonly WholeScan[]
  /** Held out; where there are none, the training scans themselves decide which weights are best. */
  readonly validation: readonly WholeScan[]
  /** embedding.safetensors */
  readonly path: string
  readonly fingerprint: string
  /** Seconds between two checkpoints. */
  readonly checkpointSeconds: number
  readonly threads: number | undefined
}

/** A trained auto-encoder. */
export interface Embedder {
  readonly network: Network
  readonly plan: EmbeddingPlan
  /** Epochs trained, and the one whose weights were kept, from 1. */
  readonly epochs: number
  readonly bestEpoch: number
  /** Mean squared error of the kept weights. */
  readonly loss: number
}

/** Adam 1e-3; halved on a plateau: patience 20, delta 1e-4, no lower than 1e-6. As published. */
const schedule = makeSchedule({ kind: 'plateau', learningRate: 1e-3, halveEvery: 1 })
/** Resized scans are kept in memory up to this; beyond, they are resized whenever they are needed. */
const keptBytes = 2 ** 30

/**
 * Trains the auto-encoder on whole scans, or goes on where `embedding.safetensors` stands; a finished one is only loaded.
 * Stopped at any step and gone on, it ends in the same bits.
 * @param makePlan called when there is nothing to go on from
 * @throws SemgenError DIVERGED, BAD_CHECKPOINT, IO; whatever the signal was aborted with, after a checkpoint was written
 */
export async function trainEmbedding(
  job: EmbeddingJob,
  resume: boolean,
  makePlan: () => Promise<EmbeddingPlan>,
  tellPlan: (plan: EmbeddingPlan) => void,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Embedder> {
  const { engine, seed, path, fingerprint } = job
  const checkpoint = resume ? await readEmbedding(path, fingerprint) : undefined
  const plan = checkpoint?.plan ?? (await makePlan())
  tellPlan(plan)
  const network = new Network(engine, plan.network, seed)
  if (checkpoint) network.load(checkpoint.weights)
  let state = checkpoint?.state ?? begin
  if (!state.done) {
    const training = new Training(job, plan, network, state, checkpoint?.best)
    try {
      if (checkpoint) restoreOptimizer(path, training.step.optimizerState, checkpoint.optimizer)
      state = await training.run(progress, signal)
    } finally {
      training.dispose()
    }
    await writeEmbedding(path, network, { plan, state, fingerprint })
  }
  return { network, plan, epochs: state.validated, bestEpoch: state.best.epoch, loss: state.best.loss ?? 0 }
}

const begin: EmbeddingState = {
  done: false,
  step: 0,
  validated: 0,
  schedule: initialSchedule(schedule),
  best: noBest,
}

class Training {
  readonly step: TrainingStep
  readonly #job: EmbeddingJob
  readonly #plan: EmbeddingPlan
  readonly #network: Network
  readonly #inputs: ScanInputs
  readonly #evaluations = new Map<number, EvaluationStep>()
  #state: EmbeddingState
  #best: Weights | undefined
  #saved = performance.now()

  constructor(job: EmbeddingJob, plan: EmbeddingPlan, network: Network, state: EmbeddingState, best?: Weights) {
    this.#job = job
    this.#plan = plan
    this.#network = network
    this.#state = state
    this.#best = best
    this.#inputs = new ScanInputs(plan.network.patch, job.threads)
    this.step = new TrainingStep(network, { batch: plan.batch, ...losses, optimizer: { kind: 'adam' } })
  }

  /** Trains to the end; the network then has the best weights. */
  async run(progress: Progress, signal?: AbortSignal): Promise<EmbeddingState> {
    const { epochs, stepsPerEpoch, patience } = this.#plan
    const task = progress.begin('Auto-encoder', epochs * stepsPerEpoch, 'steps')
    task.advance(this.#state.step)
    try {
      for (;;) {
        if (this.#state.validated < Math.floor(this.#state.step / stepsPerEpoch)) {
          const loss = await this.#validate(signal)
          task.advance(0, { 'held-out loss': figure(loss), best: figure(this.#state.best.loss!) })
        }
        if (exhausted(this.#state.best, patience) || this.#state.validated === epochs) break
        signal?.throwIfAborted()
        const loss = await this.#train()
        task.advance(1, { loss: figure(loss) })
        if (performance.now() - this.#saved > this.#job.checkpointSeconds * 1000) await this.#save()
      }
    } catch (error) {
      if (signal?.aborted && error === signal.reason) await this.#save()
      throw error
    } finally {
      task.end()
    }
    this.#network.load(this.#best!)
    return { ...this.#state, done: true }
  }

  dispose(): void {
    this.step.dispose()
    for (const step of this.#evaluations.values()) step.dispose()
  }

  async #train(): Promise<number> {
    const { train, seed } = this.#job
    const { batch, stepsPerEpoch } = this.#plan
    const { step } = this.#state
    const epoch = Math.floor(step / stepsPerEpoch)
    // Each pass is a permutation; a last batch that would not be full begins the permutation again.
    const order = new Random(seed, 'discovery/embedding', epoch).permutation(train.length)
    const scans = Array.from({ length: batch }, (_, i) => {
      const at = (step - epoch * stepsPerEpoch) * batch + i
      return train[order[at % train.length]!]!
    })
    const cubes = await this.#inputs.batch(scans)
    this.step.input.write(cubes)
    this.step.target.write(cubes)
    const { loss, finite } = await this.step.run(
      learningRateAt(schedule, this.#state.schedule, { epoch, step, steps: 1 }),
    )
    if (!finite || !Number.isFinite(loss))
      throw new SemgenError('DIVERGED', `The auto-encoder diverged in epoch ${epoch + 1}: its loss is no number.`)
    this.#state = { ...this.#state, step: step + 1 }
    return loss
  }

  async #validate(signal?: AbortSignal): Promise<number> {
    const scans = this.#job.validation.length > 0 ? this.#job.validation : this.#job.train
    let sum = 0
    for (let first = 0; first < scans.length; first += this.#plan.batch) {
      signal?.throwIfAborted()
      const some = scans.slice(first, first + this.#plan.batch)
      const step = this.#evaluation(some.length)
      const cubes = await this.#inputs.batch(some)
      step.input.write(cubes)
      step.target.write(cubes)
      sum += (await step.run()).loss * some.length
    }
    const loss = sum / scans.length
    if (!Number.isFinite(loss))
      throw new SemgenError('DIVERGED', 'The auto-encoder diverged: its loss on held-out scans is no number.')
    const epoch = this.#state.validated + 1
    const { improved, ...best } = track(this.#state.best, loss, epoch)
    if (improved) this.#best = this.#network.save()
    const next = afterValidation(schedule, this.#state.schedule, loss)
    this.#state = { ...this.#state, validated: epoch, best, schedule: next }
    return loss
  }

  #evaluation(batch: number): EvaluationStep {
    let step = this.#evaluations.get(batch)
    if (!step) {
      step = new EvaluationStep(this.#network, { batch, ...losses })
      this.#evaluations.set(batch, step)
    }
    return step
  }

  async #save(): Promise<void> {
    const { path, fingerprint } = this.#job
    const about = { plan: this.#plan, state: this.#state, fingerprint }
    await writeEmbedding(path, this.#network, about, { optimizer: this.step.optimizerState, best: this.#best })
    this.#saved = performance.now()
  }
}

const losses = { restorationWeight: 1, classificationWeight: 0 }

/**
 * Latent vectors of scans, [scans, latent], in their order.
 * @throws whatever the signal was aborted with
 */
export async function embed(
  embedder: Embedder,
  scans: readonly WholeScan[],
  threads: number | undefined,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { network, plan } = embedder
  const inputs = new ScanInputs(plan.network.patch, threads)
  const step = new EmbeddingStep(network, { batch: 1 })
  const task = progress.begin('Embedding', scans.length, 'scans')
  try {
    let all: Float32Array | undefined
    for (const [i, scan] of scans.entries()) {
      signal?.throwIfAborted()
      step.input.write(await inputs.batch([scan]))
      const latent = await step.run()
      all ??= new Float32Array(scans.length * latent.length)
      all.set(latent, i * latent.length)
      task.advance()
    }
    return all ?? new Float32Array()
  } finally {
    task.end()
    step.dispose()
  }
}

/** Whole scans brought to the auto-encoder's input, kept as far as memory is meant for it. */
class ScanInputs {
  readonly #input: Extents
  readonly #threads: number | undefined
  readonly #kept = new Map<string, Float32Array>()

  constructor(input: Extents, threads: number | undefined) {
    this.#input = input
    this.#threads = threads
  }

  /** (scans, input), z fastest. */
  async batch(scans: readonly WholeScan[]): Promise<Float32Array> {
    const voxels = voxelCount(this.#input)
    const batch = new Float32Array(scans.length * voxels)
    for (const [i, scan] of scans.entries()) batch.set(await this.#resized(scan), i * voxels)
    return batch
  }

  async #resized(scan: WholeScan): Promise<Float32Array> {
    const known = this.#kept.get(scan.id)
    if (known) return known
    const resized = await resizeScan(scan, this.#input, this.#threads === undefined ? {} : { threads: this.#threads })
    if ((this.#kept.size + 1) * resized.byteLength <= keptBytes) this.#kept.set(scan.id, resized)
    return resized
  }
}
