import { performance } from 'node:perf_hooks'
import type { Engine } from '../engine/index.js'
import { Network, type NetworkShape, publishedYNet, TrainingStep } from '../nn/index.js'
import { trainingFlops } from './flops.js'

/** What is measured is timed for about so long, after one call that is not counted. */
const timedSeconds = 2
const timedCalls = { fewest: 2, most: 20 }

/** What the engine does in a training step, floating-point operations a second: a few steps of a small network. */
export async function measureFlops(engine: Engine, signal?: AbortSignal): Promise<number> {
  const shape: NetworkShape = { ...publishedYNet(8), baseWidth: 16, patch: [32, 32, 16] }
  const losses = { restorationWeight: 1, classificationWeight: 0.01 }
  const batch = 2
  const step = new TrainingStep(new Network(engine, shape, 0), { batch, ...losses, optimizer: { kind: 'adam' } })
  try {
    const seconds = await timed(() => step.run(0), signal)
    return (batch * trainingFlops(shape, losses)) / seconds
  } finally {
    step.dispose()
  }
}

/** Seconds of one call: the mean over some, after one that is not counted. */
export async function timed(call: () => Promise<unknown>, signal?: AbortSignal): Promise<number> {
  await call()
  const start = performance.now()
  let calls = 0
  let seconds = 0
  while (calls < timedCalls.fewest || (calls < timedCalls.most && seconds < timedSeconds)) {
    signal?.throwIfAborted()
    await call()
    calls++
    seconds = (performance.now() - start) / 1000
  }
  return seconds / calls
}
