/**
 * Every operation of the contract: its rate, and its share of what the machine can do, measured in the same run. Those of
 * the network are timed where they stand, in a training step; the others in a program of their own.
 *
 *   node dist/bench/kernels.js [--json] [--device cpu] [--precision fp32|bf16] [--threads N] [--batch 1] [--runs 3]
 *                              [--base-width 32] [--patch 64x64x32] [--decoder auto|composed|two-step] [--tiles FILE] [--arch sm_90]
 *
 * With --device sim a training step is counted instead, kernel by kernel, as a card of --arch would take it: sectors of
 * global memory against the ideal, bank conflicts, tensor-core operations, and the occupancy that nvcc's registers and
 * shared memory allow.
 *
 * A convolution's limit is a plain convolution of the same precision; what memory bounds is held against a copy (limits.ts).
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type Device, openEngine, type Precision } from '../src/engine/index.js'
import type { DecoderMode } from '../src/nn/index.js'
import { countedStep, describeCounted } from './counted-step.js'
import { measureLimits, shareOfLimit, timed } from './limits.js'
import { recordLooseOperations } from './loose-operations.js'
import { architectureNamed, simulate } from './occupancy.js'
import { extentsFrom, noisyStep } from './training-step.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    tiles: { type: 'string' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
    'base-width': { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
    decoder: { type: 'string', default: 'auto' },
    arch: { type: 'string', default: 'sm_90' },
  },
})

const shape = {
  batch: Number(options.batch),
  width: Number(options['base-width']),
  patch: extentsFrom(options.patch),
  decoder: options.decoder as DecoderMode,
}

const architecture = architectureNamed(options.arch)
if (options.device === 'sim') simulate(architecture)
const engine = openEngine({
  device: options.device as Device,
  precision: options.precision as Precision | undefined,
  tiles: options.tiles,
  threads: Number(options.threads),
})
if (engine.device === 'sim') await printCounters()
else await printRates()

/** The simulator's time says nothing of a card's: what it counts does. */
async function printCounters(): Promise<void> {
  const counted = await countedStep(engine, shape, architecture)
  const about = { what: 'counters', device: engine.device, precision: engine.precision, architecture, ...shape }
  if (options.json) console.log(JSON.stringify({ ...about, ...counted }, null, 1))
  else
    console.log(
      `a training step in the simulator: ${engine.precision}, batch ${shape.batch}, width ${shape.width}, patch ${options.patch}; resources for ${architecture}\n${describeCounted(counted)}`,
    )
}

async function printRates(): Promise<void> {
  const runs = Number(options.runs)
  const limits = await measureLimits(engine, runs)
  const { step } = noisyStep(engine, shape)
  const inStep = await timed({ plan: step.plan, profile: () => step.profile(1e-3) }, runs)
  step.dispose()
  const program = engine.program()
  recordLooseOperations(engine, program, shape.patch, shape.width)
  const loose = await timed({ plan: program.compile(), profile: () => program.profile() }, runs)
  program.dispose()

  const known = new Set(inStep.map(({ operation }) => operation))
  const operations = [...inStep, ...loose.filter(({ operation }) => !known.has(operation))].map((item) => ({
    ...item,
    share: shareOfLimit(item, limits),
  }))
  const result = {
    what: 'operations',
    device: engine.device,
    library: engine.about.library,
    instructions: engine.about.instructions,
    precision: engine.precision,
    threads: Number(options.threads),
    ...shape,
    ...limits,
    operations,
  }
  if (options.json) console.log(JSON.stringify(result, null, 1))
  else {
    const giga = (value: number) => (value / 1e9).toFixed(1).padStart(9)
    console.log(
      `operations: ${engine.about.library}, ${engine.about.instructions}, ${engine.precision}, ${options.threads} threads, batch ${options.batch}; ` +
        `plain convolution ${giga(limits.flopsPerSecond).trim()} GFLOP/s, copy ${giga(limits.bytesPerSecond).trim()} GB/s`,
    )
    console.log('         ms   GFLOP/s      GB/s  of limit  operation')
    for (const { operation, detail, shapes, seconds, flops, bytes, share } of operations)
      console.log(
        `${(seconds * 1000).toFixed(2).padStart(11)} ${giga(flops / seconds)} ${giga(bytes / seconds)} ${`${Math.round(100 * share)} %`.padStart(9)}  ` +
          `${operation} ${shapes}${detail ? ` (${detail})` : ''}`,
      )
  }
}
