import { type Engine, openEngine, type Precision } from '../engine/index.js'
import type { Progress } from '../progress.js'
import { type RunConfig, warnOfDifferences } from './run-config.js'

/** The options that an engine is opened with. */
interface EngineWishes {
  readonly device: 'auto' | 'cpu' | 'cuda' | 'sim'
  readonly precision: Precision | undefined
  readonly gpu: number
  readonly tiles: string | undefined
  readonly threads: number | undefined
}

/**
 * The engine asked for; on a resume with the precision and threads that the run was begun with, which decide rounding. What
 * is otherwise here than it was is told.
 * @param saved the run's configuration, where it goes on
 * @throws SemgenError NO_DEVICE, BAD_OPTION as openEngine
 */
export function engineOf(
  options: EngineWishes,
  saved: Pick<RunConfig, 'environment'> | undefined,
  progress: Progress,
): Engine {
  const before = saved?.environment
  const engine = openEngine({
    device: options.device,
    precision: options.precision ?? (before?.precision as Precision | undefined),
    gpu: options.gpu,
    tiles: options.tiles,
    threads: options.threads ?? (before?.threads as number | undefined),
  })
  if (before) warnOfDifferences(before, engine, progress)
  return engine
}
