// How fast training cubes are made: `node dist/bench/perturb.js [--json] [--threads N] [--seconds S] [--cube X,Y,Z]`.
// Each figure is the best of the rounds that fit in S seconds, since what else runs on the machine only takes away.
import { availableParallelism, cpus } from 'node:os'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type Extents, extentsText, voxelCount } from '../src/extents.js'
import {
  type CubeRequest,
  drawPerturbation,
  fillCubes,
  namedRecipes,
  type Recipe,
  resizeScan,
  type Scan,
} from '../src/perturb/index.js'
import { Random } from '../src/random.js'

const { values: given } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    threads: { type: 'string', default: String(availableParallelism()) },
    seconds: { type: 'string', default: '1.5' },
    cube: { type: 'string', default: '64,64,32' },
  },
})
const threads = Number(given.threads)
const seconds = Number(given.seconds)
const cube = given.cube.split(',').map(Number) as unknown as Extents
const batch = 32

function someScan(shape: Extents): Scan {
  const voxels = new Uint16Array(voxelCount(shape))
  for (let i = 0; i < voxels.length; i++) voxels[i] = (i * 2654435761) >>> 16
  return { voxels, shape }
}

const scan = someScan([256, 256, 128])
const original = new Float32Array(batch * voxelCount(cube))
const perturbed = new Float32Array(batch * voxelCount(cube))

function requests(recipe: Recipe, size: Extents): CubeRequest[] {
  return Array.from({ length: batch }, (_, sample) => {
    const random = new Random(1, 'bench', 0, sample)
    const start = size.map((side, axis) =>
      random.integer(0, Math.max(1, scan.shape[axis]! - side)),
    ) as unknown as Extents
    return { scan, start, size, perturbation: drawPerturbation(recipe, random, cube) }
  })
}

/** The best rate of `work`, which makes `count` things, in things a second. */
async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  await work()
  let best = Number.POSITIVE_INFINITY
  for (const until = performance.now() + 1000 * seconds; performance.now() < until; ) {
    const before = performance.now()
    await work()
    best = Math.min(best, performance.now() - before)
  }
  return (1000 * count) / best
}

/** Nothing that is wrong is timed: one thread and several must give the same bits. */
async function check(batchRequests: CubeRequest[]): Promise<void> {
  await fillCubes(batchRequests, cube, original, perturbed, { threads: 1 })
  const alone = perturbed.slice()
  await fillCubes(batchRequests, cube, original, perturbed, { threads: Math.max(2, threads) })
  if (alone.some((value, i) => value !== perturbed[i])) throw new Error('Threads change the result.')
}

const cubesPerSecond: Record<string, number> = {}
for (const [name, recipe] of Object.entries(namedRecipes)) {
  if (name === 'rotation' && cube[0] !== cube[1]) continue
  const batchRequests = requests(recipe, cube)
  await check(batchRequests)
  cubesPerSecond[name] = await rate(batch, () => fillCubes(batchRequests, cube, original, perturbed, { threads }))
}
const larger = cube.map((side) => Math.round(side * 1.2)) as unknown as Extents
const resized = requests(namedRecipes.none, larger)
cubesPerSecond['none, from a larger crop'] = await rate(batch, () =>
  fillCubes(resized, cube, original, perturbed, { threads }),
)
const drawn = await rate(1000, async () => {
  for (let sample = 0; sample < 1000; sample++)
    drawPerturbation(namedRecipes.official, new Random(1, 'bench', 1, sample), cube)
})
const whole = someScan([512, 512, 300])
const scansPerSecond = await rate(1, () => resizeScan(whole, [128, 128, 64], { threads }))

const result = {
  processor: cpus()[0]?.model ?? 'unknown',
  threads,
  cube,
  cubesPerSecond,
  officialDrawsPerSecond: drawn,
  resizeScan: { from: whole.shape, to: [128, 128, 64], seconds: 1 / scansPerSecond },
}
if (given.json) console.log(JSON.stringify(result))
else {
  console.log(`${result.processor}, ${threads} threads, cubes of ${extentsText(cube)}, best of ${seconds} s each`)
  for (const [name, perSecond] of Object.entries(cubesPerSecond))
    console.log(`${name.padEnd(26)} ${perSecond.toFixed(0).padStart(7)} cubes/s`)
  console.log(`${'official draws alone'.padEnd(26)} ${drawn.toFixed(0).padStart(7)} draws/s`)
  console.log(`a 512 x 512 x 300 scan to 128 x 128 x 64 in ${(1 / scansPerSecond).toFixed(2)} s`)
}
