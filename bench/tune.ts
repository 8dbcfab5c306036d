/**
 * The tile shapes of a training step's convolutions and weight gradients: tries all that the engine can choose on a card,
 * checks that each gives the same result, and writes the fastest to a table that --tiles hands to any command.
 *
 *   node dist/bench/tune.js [--json] [--device cuda] [--precision bf16|tf32|fp32] [--batch 4] [--base-width 32]
 *                           [--patch 64x64x32] [--decoder auto|composed|two-step] [--runs 7] [--tiles tiles.json]
 *
 * A file that is there keeps what it says of other shapes. On a card the median of several runs decides, after one to
 * warm up. With --device sim nothing is timed: what is counted decides, and only the simulator takes such a table.
 */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { addon } from '../src/engine/addon.js'
import {
  type Device,
  openEngine,
  type Precision,
  readTileFile,
  type TileChoice,
  type TileRequest,
  type TileTuner,
  writeTileFile,
} from '../src/engine/index.js'
import type { DecoderMode } from '../src/nn/index.js'
import { examineSurroundings } from './surroundings.js'
import { extentsFrom, median, noisyStep } from './training-step.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    batch: { type: 'string', default: '4' },
    'base-width': { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
    decoder: { type: 'string', default: 'auto' },
    runs: { type: 'string', default: '7' },
    tiles: { type: 'string', default: 'tiles.json' },
  },
})

/** Another choice must be faster by this much to be taken: less is the noise of a card. */
const leastGain = 0.02

/** Operations of tensor cores in the time that a byte takes from L2, on cards of sm_80 to sm_90 roughly. */
const flopsPerByte = 200

interface Tried {
  readonly choice: TileChoice
  /** Seconds; of the simulator, bytes through L2 with tensor-core operations made bytes. */
  readonly cost: number
  /** A share of the values', in the root mean square. */
  readonly error: number
  readonly tolerance: number
}

const engine = openEngine({
  device: options.device as Device,
  precision: options.precision as Precision | undefined,
  threads: Number(options.threads),
})
const counted = engine.device === 'sim'
const tuner = engine.tuner()
const before = existsSync(options.tiles) ? readTileFile(options.tiles) : { tuned: [], tiles: {} }
const { surroundings } = await examineSurroundings(options.device as Device)

const { step } = noisyStep(engine, {
  batch: Number(options.batch),
  width: Number(options['base-width']),
  patch: extentsFrom(options.patch),
  decoder: options.decoder as DecoderMode,
})
const { operations } = step.plan
step.dispose()
const results = tuner.requests().map((request) => {
  const tried = triedAll(tuner, request)
  const usual = tried.find(({ choice }) => same(choice, request.chosen))!
  return { request, tried, usual, best: fastest(tried, usual) }
})
const command = [
  'semgen-native bench tune',
  ...['device', 'precision', 'batch', 'patch'].flatMap((name) => [`--${name}`, options[name as 'device']]),
  `--base-width ${options['base-width']}`,
]
await writeTileFile(options.tiles, {
  tuned: [
    ...before.tuned,
    {
      date: new Date().toISOString(),
      command: command.filter((word) => word !== undefined).join(' '),
      card: engine.processor,
      library: engine.about.library,
      program: `semgen-native ${surroundings.versions.program}, commit ${surroundings.commit}`,
      node: surroundings.versions.node,
      machine: `${surroundings.machine.cpu}, ${surroundings.machine.system}`,
    },
  ],
  tiles: {
    ...before.tiles,
    ...Object.fromEntries(results.map(({ request, best }) => [request.key, best.choice])),
  },
})

const unit = counted ? 'CountedBytes' : 'Seconds'
const sum = (of: (result: (typeof results)[number]) => number) => results.reduce((total, one) => total + of(one), 0)
const usualCost = sum(({ request, usual }) => request.uses * usual.cost)
const bestCost = sum(({ request, best }) => request.uses * best.cost)
const figures = {
  what: counted ? 'tile shapes by what the simulator counts: no times' : 'tile shapes by time',
  device: engine.device,
  card: engine.processor,
  precision: engine.precision,
  batch: Number(options.batch),
  width: Number(options['base-width']),
  patch: extentsFrom(options.patch),
  operations: operations.length,
  table: options.tiles,
  shapes: results.length,
  changed: results.filter(({ usual, best }) => usual !== best).length,
  wrong: sum(({ tried }) => tried.filter((one) => !right(one)).length),
  [`usual${unit}`]: usualCost,
  [`best${unit}`]: bestCost,
  gainShare: 1 - bestCost / usualCost,
  choices: results.map(({ request, tried, usual, best }) => ({
    shape: request.key,
    uses: request.uses,
    tried: tried.length,
    usual: inWords(usual.choice),
    best: inWords(best.choice),
    [`usual${unit}`]: usual.cost,
    [`best${unit}`]: best.cost,
    gainShare: 1 - best.cost / usual.cost,
    largestError: Math.max(...tried.map(({ error }) => error)),
    wrong: tried
      .filter((one) => !right(one))
      .map(({ choice }) => inWords(choice))
      .join('; '),
  })),
}
if (options.json) console.log(JSON.stringify(figures, null, 1))
else {
  for (const { request, usual, best } of results)
    console.log(
      `${String(request.uses).padStart(3)} x ${request.key}: ${inWords(best.choice)}` +
        (usual === best ? ', as without a table' : ` for ${inWords(usual.choice)}, ${gain(usual.cost, best.cost)}`),
    )
  console.log(
    `${figures.changed} of ${figures.shapes} shapes change; their launches together take ${gain(usualCost, bestCost)}` +
      `${counted ? ' of what is counted: L2 sectors and tensor-core operations, no times' : ''}. The table is ${options.tiles}.`,
  )
}
if (figures.wrong > 0) {
  console.error(`${figures.wrong} choices gave another result than rounding explains: none of them was taken.`)
  process.exitCode = 1
}

/** Tries every choice of a request on the same inputs. */
function triedAll(tuner: TileTuner, { key, possible }: TileRequest): Tried[] {
  tuner.begin(key)
  try {
    return possible.map((choice) => {
      const { cost, error, tolerance } = counted ? countedTrial(tuner, choice) : timedTrial(tuner, choice)
      return { choice, cost, error, tolerance }
    })
  } finally {
    tuner.end()
  }
}

function timedTrial(tuner: TileTuner, choice: TileChoice) {
  tuner.trial(choice, 1)
  const { seconds, ...rest } = tuner.trial(choice, Number(options.runs))
  return { cost: median(seconds), ...rest }
}

function countedTrial(tuner: TileTuner, choice: TileChoice) {
  const simulator = addon('sim').simulator!
  simulator.resetCounters()
  const { error, tolerance } = tuner.trial(choice, 1)
  const cost = simulator
    .counters()
    .reduce(
      (total, kernel) => total + 32 * (kernel.sectorsRead + kernel.sectorsWritten) + kernel.tensorFlop / flopsPerByte,
      0,
    )
  return { cost, error, tolerance }
}

/** The usual choice, unless another is right and clearly faster. */
function fastest(tried: readonly Tried[], usual: Tried): Tried {
  const [best] = tried.filter(right).sort((a, b) => a.cost - b.cost)
  return best && best.cost < (1 - leastGain) * usual.cost ? best : usual
}

function right({ error, tolerance }: Tried): boolean {
  return error <= tolerance
}

function same(a: TileChoice, b: TileChoice): boolean {
  return a.way === b.way && a.columns === b.columns && a.splits === b.splits
}

function inWords({ way, columns, splits }: TileChoice): string {
  return `${way} of ${columns}${splits > 1 ? ` in ${splits} splits` : ''}`
}

function gain(usual: number, best: number): string {
  return `${(100 * (1 - best / usual)).toFixed(1)} % less`
}
