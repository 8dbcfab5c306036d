import type { Engine, PlannedOperation } from '../src/engine/index.js'
import { Random } from '../src/random.js'
import { median, noise } from './training-step.js'

/**
 * What the machine does at most: the faster of two plain convolutions, one of 1x1x1, which is a matrix product, and one of
 * 3x3x3, which caches serve better (3x3x1 on a CPU, which computes 3x3x3 with fewer multiplications); and a copy.
 */
export interface Limits {
  readonly flopsPerSecond: number
  readonly bytesPerSecond: number
}

export interface TimedOperation extends PlannedOperation {
  readonly seconds: number
}

/** Something that runs and tells each operation's seconds. */
interface Profiled {
  readonly plan: { readonly operations: readonly PlannedOperation[] }
  profile(): Promise<Float64Array>
}

/** The median seconds of every operation, after one run to warm up. */
export async function timed({ plan, profile }: Profiled, times: number): Promise<TimedOperation[]> {
  const runs: Float64Array[] = []
  await profile()
  for (let i = 0; i < times; i++) runs.push(await profile())
  return plan.operations.map((item, i) => ({ ...item, seconds: median(runs.map((seconds) => seconds[i]!)) }))
}

/** Measures both limits, in the engine's precision. */
export async function measureLimits(engine: Engine, times: number): Promise<Limits> {
  // All extents here are multiples of a block's.
  const block = noise(2 ** 12, new Random(0, 'bench/limits'))
  const bound = (shape: readonly number[]) => {
    const tensor = engine.tensor(shape)
    const values = new Float32Array(tensor.length)
    for (let at = 0; at < values.length; at += block.length) values.set(block, at)
    return program.bind(tensor.fill(values))
  }
  const program = engine.program()
  const deep = engine.device === 'cpu' ? 1 : 3
  for (const [shape, kernel] of [
    [
      [1, 32, 32, 32, 256],
      [1, 1, 1],
    ],
    [
      [1, 32, 32, 16, 128],
      [3, 3, deep],
    ],
  ] as const) {
    const [x, y] = [program.activation(shape), program.activation(shape)]
    const channels = shape[4]
    program.record('cast', { x: bound(shape) }, { y: x })
    const attributes = { stride: [1, 1, 1], padding: kernel.map((extent) => (extent - 1) / 2) }
    program.record('conv3d', { x, weight: bound([channels, channels, ...kernel]) }, { y }, attributes)
  }
  // Larger than caches.
  const large = [1, 128, 128, 128, 16]
  const [from, to] = [program.activation(large), program.activation(large)]
  program.record('cast', { x: bound(large) }, { y: from })
  program.record('add', { a: from, b: from }, { y: to })
  program.record('cast', { x: from }, { y: program.activation(large) })
  const operations = await timed({ plan: program.compile(), profile: () => program.profile() }, times)
  program.dispose()
  const convolutions = operations.filter(({ operation }) => operation === 'conv3d')
  const copy = operations.at(-1)!
  return {
    flopsPerSecond: Math.max(...convolutions.map(({ flops, seconds }) => flops / seconds)),
    bytesPerSecond: copy.bytes / copy.seconds,
  }
}

/**
 * An operation's share of the limit that binds it, the larger of both: 1 would be an operation that is nothing but a
 * plain convolution or a copy. A composed decoder and convolutions by tiles do fewer operations than they are credited with,
 * and caches can beat the copy: all may pass 1.
 */
export function shareOfLimit({ flops, bytes, seconds }: TimedOperation, limits: Limits): number {
  return seconds > 0 ? Math.max(flops / limits.flopsPerSecond, bytes / limits.bytesPerSecond) / seconds : 0
}
