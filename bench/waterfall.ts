import type { PlannedOperation } from '../src/engine/index.js'
import { figure, percent } from '../src/format.js'
import { type Limits, shareOfLimit, type TimedOperation } from './limits.js'

/** A training step's time, operation by operation in the order they run in. */
export interface Waterfall extends Limits {
  /** Of a whole step as training runs it, not profiled. */
  readonly seconds: number
  /** Of all operations together, each timed on its own. */
  readonly inOperationsSeconds: number
  /**
   * The rest of the step: gaps between launches, the host, uploads of inputs. Below 0 where timing the operations one by
   * one makes them slower than a step that runs as one.
   */
  readonly outsideSeconds: number
  readonly operations: readonly {
    readonly operation: string
    readonly detail: string
    readonly shapes: string
    readonly seconds: number
    /** Of the whole step's seconds. */
    readonly share: number
    /** Of a plain convolution's rate or a copy's, whichever it is nearer to. */
    readonly limitShare: number
  }[]
}

export function waterfallOf(seconds: number, operations: readonly TimedOperation[], limits: Limits): Waterfall {
  const inOperationsSeconds = operations.reduce((sum, operation) => sum + operation.seconds, 0)
  return {
    seconds,
    ...limits,
    inOperationsSeconds,
    outsideSeconds: seconds - inOperationsSeconds,
    operations: operations.map((operation) => ({
      operation: operation.operation,
      detail: operation.detail,
      shapes: operation.shapes,
      seconds: operation.seconds,
      share: operation.seconds / seconds,
      limitShare: shareOfLimit(operation, limits),
    })),
  }
}

/** The same of a simulated step, whose time says nothing: each operation's share of the bytes, as the contract writes it. */
export function describeBytes(operations: readonly PlannedOperation[]): string {
  const all = operations.reduce((sum, { bytes }) => sum + bytes, 0)
  let before = 0
  return [
    `    GFLOP       MiB of bytes  ${'of the bytes'.padEnd(barWidth)}  operation`,
    ...operations.map(({ operation, detail, shapes, flops, bytes }) => {
      const bar = span(before / all, (before + bytes) / all)
      before += bytes
      return (
        `${(flops / 1e9).toFixed(3).padStart(9)} ${(bytes / 2 ** 20).toFixed(3).padStart(9)} ` +
        `${percent(bytes / all).padStart(8)}  ${bar}  ${operation} ${shapes}${detail ? ` (${detail})` : ''}`
      )
    }),
    'Simulated: no times. Bytes and operations are as the contract writes them; bench kernels counts what kernels do.',
  ].join('\n')
}

/** Characters of a bar over the whole step. */
const barWidth = 40

/** A line an operation: its bar begins where the one before ends, so that the eye falls from the first to the last. */
export function describeWaterfall(waterfall: Waterfall): string {
  const { seconds, inOperationsSeconds, outsideSeconds, operations } = waterfall
  const whole = Math.max(seconds, inOperationsSeconds)
  let before = 0
  const line = (took: number, limit: string, name: string) => {
    const bar = span(before / whole, (before + Math.max(0, took)) / whole)
    before += Math.max(0, took)
    return `${ms(took).padStart(9)} ${percent(took / seconds).padStart(7)} ${limit.padStart(8)}  ${bar}  ${name}`
  }
  return [
    `       ms of step of limit  ${'of the step'.padEnd(barWidth)}  operation`,
    ...operations.map(({ operation, detail, shapes, seconds: took, limitShare }) =>
      line(took, percent(limitShare), `${operation} ${shapes}${detail ? ` (${detail})` : ''}`),
    ),
    line(outsideSeconds, '', 'in no operation: launch gaps, host, uploads'),
    `A step takes ${ms(seconds)} ms, its operations timed one by one ${ms(inOperationsSeconds)} ms. ` +
      `Limits: a plain convolution of ${figure(waterfall.flopsPerSecond / 1e9)} GFLOP/s, a copy of ${figure(waterfall.bytesPerSecond / 1e9)} GB/s.`,
  ].join('\n')
}

const ms = (seconds: number): string => (1e3 * seconds).toFixed(3)

/** A bar from one share of the width to another: whole blocks, and at least a thin one. */
function span(from: number, to: number): string {
  const first = Math.min(barWidth - 1, Math.round(from * barWidth))
  const cells = Math.max(0, Math.round(to * barWidth) - first)
  return `${' '.repeat(first)}${cells > 0 ? '█'.repeat(cells) : '▏'}`.padEnd(barWidth).slice(0, barWidth)
}
