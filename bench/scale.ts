/**
 * How time, memory and disk grow with scans, voxels, classes, batch and width: each measured at four sizes, and held
 * against the law that docs/scaling.md states for it.
 *
 *   node dist/bench/scale.js [--json] [--device auto] [--precision fp32|bf16] [--threads N] [--quick]
 *
 * Scans are phantoms; a step's input is noise. Every point is a process of its own, one after the other. The law is fitted by
 * least squares of relative deviations; the exponent is that of a power law through the same points, which is lower
 * where a part does not grow. `--quick` takes sizes that show that it runs, and nothing else.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import type { Device, Precision } from '../src/engine/index.js'
import { type Extents, voxelCount } from '../src/extents.js'
import { makePhantoms } from '../src/phantom/index.js'
import { growthExponent, lineFit } from './fit.js'
import type { ScalePoint } from './scale-point.js'
import { cell, markdownTables } from './tables.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    quick: { type: 'boolean', default: false },
  },
})

/** Something measured at sizes of one quantity, the others fixed. */
interface Sweep {
  readonly what: string
  /** What is varied; the noun of its column. */
  readonly against: string
  readonly sizes: readonly number[]
  /** Fields of a point that grow, "seconds" and "...Bytes": what they are called, and where the law is not a + b n. */
  readonly grow: Readonly<Record<string, string | readonly [name: string, law: 'squared']>>
  readonly measure: (size: number) => Promise<Readonly<Record<string, number>>>
}

const { quick } = options
const scratch = mkdtempSync(join(tmpdir(), 'semgen-scale-'))
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    stopping.abort()
    rmSync(scratch, { recursive: true, force: true })
    process.exit(130)
  })
const machine = {
  device: options.device as Device,
  ...(options.precision && { precision: options.precision as Precision }),
  threads: Number(options.threads),
}
const scanCounts = quick ? [3, 4, 5, 6] : [4, 8, 16, 32]
const scanExtents: Extents = quick ? [48, 40, 32] : [128, 112, 80]
const patch: Extents = quick ? [16, 16, 16] : [32, 32, 32]
const step = { kind: 'step', batch: 2, width: quick ? 2 : 16, classes: 44, patch, steps: quick ? 1 : 5 } as const
const patches: readonly Extents[] = quick
  ? [[16, 16, 8], patch, [32, 16, 16], [32, 32, 16]]
  : [[32, 32, 16], patch, [64, 32, 32], [64, 64, 32]]

/** What another program prints. It is ended with this one. */
async function printed(program: string, words: readonly string[]): Promise<Record<string, number>> {
  const command = [fileURLToPath(new URL(`./${program}.js`, import.meta.url)), ...words]
  return JSON.parse(
    (await promisify(execFile)(process.execPath, command, { maxBuffer: 2 ** 26, signal: stopping.signal })).stdout,
  )
}

/** The part of a point that says what it is; the machine is the same for all. */
type Asked<P = ScalePoint> = P extends ScalePoint ? Omit<P, keyof typeof machine | 'scratch'> : never
const point = (of: Asked) => printed('scale-point', [JSON.stringify({ ...of, ...machine, scratch })])

const folder = join(scratch, 'scans')
const cacheOf = (count: number) => join(scratch, `cache-${count}`)

const sweeps: readonly Sweep[] = [
  {
    what: 'preparing scans',
    against: 'scans',
    sizes: scanCounts,
    grow: { seconds: 'time', peakBytes: 'peak memory', cacheBytes: 'cache on disk' },
    measure: (count) => point({ kind: 'preparation', folder, count, cache: cacheOf(count) }),
  },
  {
    what: 'discovering patterns',
    against: 'scans',
    sizes: scanCounts,
    grow: { seconds: 'time', peakBytes: 'peak memory', patternBytes: 'patterns.json' },
    measure: (count) => point({ kind: 'discovery', folder, count, cache: cacheOf(count), patch: [16, 16, 16] }),
  },
  {
    what: 'searching the nearest scans',
    against: 'scans',
    sizes: quick ? [100, 200, 400, 800] : [12_500, 25_000, 50_000, 100_000],
    grow: { seconds: 'time' },
    measure: (count) =>
      printed('neighbours', [
        '--json',
        '--scans',
        String(count),
        '--queries',
        quick ? '8' : '256',
        '--threads',
        options.threads,
      ]),
  },
  {
    what: 'a step',
    against: 'voxels of a cube',
    sizes: patches.map(voxelCount),
    grow: { seconds: 'time', arenaBytes: 'activations' },
    measure: (voxels) => point({ ...step, patch: patches.find((extents) => voxelCount(extents) === voxels)! }),
  },
  {
    what: 'a step',
    against: 'cubes',
    sizes: quick ? [1, 2, 3, 4] : [1, 2, 4, 8],
    grow: { seconds: 'time', arenaBytes: 'activations', peakBytes: 'peak memory' },
    measure: (batch) => point({ ...step, batch }),
  },
  {
    what: 'a step',
    against: 'base width',
    sizes: quick ? [2, 3, 4, 5] : [8, 16, 32, 64],
    grow: {
      seconds: ['time', 'squared'],
      arenaBytes: ['activations', 'squared'],
      persistentBytes: ['weights and moments', 'squared'],
      checkpointBytes: ['last.safetensors', 'squared'],
      weightsBytes: ['best.safetensors', 'squared'],
    },
    measure: (width) => point({ ...step, width }),
  },
  {
    what: 'a step',
    against: 'classes',
    sizes: quick ? [2, 20, 40, 80] : [10, 1000, 4000, 16_000],
    grow: { seconds: 'time', persistentBytes: 'weights and moments' },
    measure: (classes) => point({ ...step, classes }),
  },
]

/** One quantity of a sweep: measured, fitted, and how far apart they are. */
function termOf({ what, against, grow }: Sweep, quantity: string, measured: readonly (readonly [number, number])[]) {
  const growing = grow[quantity]!
  const [name, power] = typeof growing === 'string' ? ([growing, 1] as const) : ([growing[0], 2] as const)
  const line = lineFit(
    measured.map(([n, value]) => [n ** power, value]),
    (value) => 1 / value ** 2,
  )
  const unit = quantity.endsWith('Bytes') ? 'Bytes' : 'Seconds'
  const points = measured.map(([n, value]) => {
    const fitted = line.offset + line.slope * n ** power
    return { [against]: n, [`measured${unit}`]: value, [`fitted${unit}`]: fitted, deviationShare: value / fitted - 1 }
  })
  const amount = (value: number) => cell(unit, Math.abs(value))
  return {
    term: `${what}: ${name} by ${against}`,
    law: `${line.offset < 0 ? '-' : ''}${amount(line.offset)} ${line.slope < 0 ? '-' : '+'} ${amount(line.slope)} n${power === 2 ? '²' : ''}`,
    exponent: growthExponent(measured),
    worstDeviationShare: Math.max(...points.map(({ deviationShare }) => Math.abs(deviationShare as number))),
    points,
  }
}

try {
  await makePhantoms({ out: folder, count: scanCounts.at(-1)!, size: scanExtents, seed: 0 })
  const terms = []
  for (const sweep of sweeps) {
    const measured: { size: number; figures: Readonly<Record<string, number>> }[] = []
    for (const size of sweep.sizes) measured.push({ size, figures: await sweep.measure(size) })
    for (const quantity of Object.keys(sweep.grow))
      terms.push(
        termOf(
          sweep,
          quantity,
          measured.map(({ size, figures }) => [size, figures[quantity]!]),
        ),
      )
  }
  const result = {
    what: 'growth of time, memory and disk',
    ...machine,
    quick,
    scans: scanExtents,
    step: { batch: step.batch, width: step.width, classes: step.classes, patch: step.patch },
    terms,
  }
  console.log(options.json ? JSON.stringify(result, null, 1) : markdownTables('scale', result))
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
