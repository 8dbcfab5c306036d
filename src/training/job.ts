import { access } from 'node:fs/promises'
import { reason, SemgenError } from '../errors.js'
import { counted } from '../format.js'
import type { Network } from '../nn/index.js'
import type { Progress } from '../progress.js'
import { type Checkpoint, loadWeights, readCheckpoint } from './checkpoint.js'
import { MetricsLog } from './metrics-log.js'
import { type StagePlan, stepsOf, type TrainingPlan } from './plan.js'
import { Stage, type StageParts } from './stage.js'
import { type RunState, stageStart } from './state.js'

/** Everything that training needs, decided. */
export interface Job {
  /** Initialised from the seed; trained in place. */
  readonly network: Network
  readonly plan: TrainingPlan
  /** What a stage of the plan runs. */
  open(stage: StagePlan): StageParts
  readonly files: { readonly last: string; readonly best: string; readonly metrics: string }
  /** Of everything that decides the bits of the run; a checkpoint with another one is refused. */
  readonly fingerprint: string
  /** Recorded in best.safetensors: how to use the weights. */
  readonly usage: Readonly<Record<string, unknown>>
  readonly checkpointSeconds: number
}

/**
 * Trains through all stages, each from the best weights of the one before. At the end the network has the best weights.
 * A run that was stopped or killed goes on from last.safetensors, to the same bits.
 * @param resume whether a checkpoint in the job's files is to be gone on from; where there is none yet, training begins
 * @throws SemgenError DIVERGED, ABORTED (through the signal), IO, BAD_CHECKPOINT
 */
export async function runJob(job: Job, resume: boolean, progress: Progress, signal?: AbortSignal): Promise<RunState> {
  const { network, plan, files } = job
  const checkpoint = resume && (await exists(files.last)) ? await resumed(job) : undefined
  const log = await MetricsLog.open(files.metrics, checkpoint?.logBytes)
  let state: RunState =
    checkpoint?.state ?? stageStart(plan.stages[0]!.schedule, { stage: 0, totalSteps: 0, results: [], seconds: 0 })
  try {
    if (checkpoint && state.stage < plan.stages.length) await log.write({ event: 'resume', step: state.totalSteps })
    if (!checkpoint) await log.write({ event: 'start', step: 0 })
    let from = checkpoint
    while (state.stage < plan.stages.length) {
      state = await runStage(job, log, state, from, progress, signal)
      from = undefined
    }
    await loadWeights(files.best, network)
    return state
  } finally {
    await log.close()
  }
}

/** Runs one stage, or what is left of it, and returns the state at the beginning of the next. */
async function runStage(
  job: Job,
  log: MetricsLog,
  state: RunState,
  from: Checkpoint | undefined,
  progress: Progress,
  signal?: AbortSignal,
): Promise<RunState> {
  const { plan, files, network } = job
  const { name, epochs, stepsPerEpoch } = plan.stages[state.stage]!
  if (!from && state.stage > 0) await loadWeights(files.best, network)
  const stage = new Stage(job, log, state, from)
  const task = progress.begin(`${name} stage`, stepsOf(plan.stages[state.stage]!), 'steps')
  try {
    if (from) task.advance(state.step)
    else {
      await log.write({ event: 'stage', step: state.totalSteps, stage: name, epochs, stepsPerEpoch })
      await stage.save()
    }
    const result = await stage.run(task, signal)
    if (result.reason === 'patience')
      progress.say(
        `The ${name} stage stopped after ${counted(plan.patience, 'epoch')} without a better validation loss.`,
      )
    const next = state.stage + 1
    const carried = { totalSteps: stage.state.totalSteps, seconds: stage.state.seconds }
    const results = [...state.results, result]
    if (next < plan.stages.length) return stageStart(plan.stages[next]!.schedule, { ...carried, stage: next, results })
    await log.write({ event: 'end', step: stage.state.totalSteps, reason: result.reason })
    stage.state = { ...stage.state, stage: next, results }
    await stage.save()
    return stage.state
  } catch (error) {
    // After the checkpoint, so that a resumed run's log does not keep it.
    const step = stage.state.totalSteps
    if (signal?.aborted && error === signal.reason)
      await log.write({ event: 'end', step, reason: 'stopped', message: reason(error) })
    else if (error instanceof SemgenError && error.code === 'DIVERGED')
      await log.write({ event: 'end', step, reason: 'diverged', message: error.message })
    throw error
  } finally {
    task.end()
    stage.dispose()
  }
}

async function resumed(job: Job): Promise<Checkpoint> {
  const checkpoint = await readCheckpoint(job.files.last, job.network.shape, job.fingerprint)
  job.network.load(checkpoint.weights)
  return checkpoint
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
