/**
 * What small work costs beside its arithmetic: a chain of additions of 16 numbers each, which is nothing but the cost of an
 * operation; and a training step of a small network, of base width 8 on 32x32x32 with 16 cubes.
 *
 *   node dist/bench/overhead.js [--json] [--device auto] [--precision fp32|bf16] [--threads N] [--operations 1000] [--runs 9]
 *                               [--base-width 8] [--patch 32x32x32] [--batch 16]
 */
import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type Device, type Engine, openEngine, type Precision } from '../src/engine/index.js'
import { extentsFrom, median, noisyStep } from './training-step.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    operations: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '9' },
    'base-width': { type: 'string', default: '8' },
    patch: { type: 'string', default: '32x32x32' },
    batch: { type: 'string', default: '16' },
  },
})
const engine = openEngine({
  device: options.device as Device,
  precision: options.precision as Precision | undefined,
  threads: Number(options.threads),
})

/** The median seconds of a call, after one to warm up. */
async function seconds(call: () => Promise<unknown>): Promise<number> {
  await call()
  const times: number[] = []
  for (let i = 0; i < Number(options.runs); i++) {
    const start = performance.now()
    await call()
    times.push((performance.now() - start) / 1000)
  }
  return median(times)
}

/** Seconds of an operation in a chain of so many, without those of the call itself. */
async function secondsOfOperation(engine: Engine, count: number): Promise<number> {
  const chain = async (length: number) => {
    const program = engine.program()
    const shape = [1, 1, 1, 1, 16]
    const one = program.bind(engine.tensor(shape))
    let sum = one
    for (let i = 0; i < length; i++) {
      const next = program.activation(shape)
      program.record('add', { a: sum, b: one }, { y: next })
      sum = next
    }
    const taken = await seconds(() => program.run())
    program.dispose()
    return taken
  }
  return ((await chain(count + 1)) - (await chain(1))) / count
}

const operationSeconds = await secondsOfOperation(engine, Number(options.operations))
const { step } = noisyStep(engine, {
  batch: Number(options.batch),
  width: Number(options['base-width']),
  patch: extentsFrom(options.patch),
  decoder: 'auto',
})
const stepSeconds = await seconds(() => step.run(1e-3))
const operations = step.plan.operations.length
step.dispose()
const result = {
  what: 'the cost of small work',
  device: engine.device,
  precision: engine.precision,
  threads: engine.threads,
  operationSeconds,
  width: Number(options['base-width']),
  patch: options.patch,
  batch: Number(options.batch),
  stepSeconds,
  operations,
  overheadShare: (operations * operationSeconds) / stepSeconds,
}
if (options.json) console.log(JSON.stringify(result))
else
  console.log(
    `an operation costs ${(1e6 * operationSeconds).toFixed(2)} us beside its work; a step of width ${result.width}, patch ${result.patch}, ` +
      `batch ${result.batch} takes ${(1e3 * stepSeconds).toFixed(1)} ms, of which its ${operations} operations' cost is ` +
      `${(100 * result.overheadShare).toFixed(2)} % (${engine.device}, ${engine.precision}, ${engine.threads} threads)`,
  )
