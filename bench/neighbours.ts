// How fast discovery finds the scans nearest to its references, exactly:
// `node dist/bench/neighbours.js [--json] [--scans N] [--queries Q] [--threads N]`.
// Scans are rows of 512 normal numbers, as wide as the published auto-encoder's latent vectors; each query wants 200.
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { nearestScans } from '../src/discovery/neighbours.js'
import { openEngine } from '../src/engine/index.js'
import { Random } from '../src/random.js'

const { values: given } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    scans: { type: 'string', default: '100000' },
    queries: { type: 'string', default: '1000' },
    threads: { type: 'string' },
  },
})
const [width, neighbours] = [512, 200]
const [scans, asked] = [Number(given.scans), Number(given.queries)]
const engine = openEngine({ device: 'cpu', ...(given.threads ? { threads: Number(given.threads) } : {}) })
const random = new Random(0, 'bench/neighbours')
const latents = { values: Float32Array.from({ length: scans * width }, () => random.normal()), width }
const queries = Array.from({ length: asked }, (_, i) => Math.floor((i * scans) / asked))

await nearestScans(engine, latents, queries.slice(0, 8), latents, neighbours)
const start = performance.now()
await nearestScans(engine, latents, queries, latents, neighbours)
const seconds = (performance.now() - start) / 1000
// A difference, a product and a sum for each of a row's numbers.
const rate = (3 * asked * scans * width) / seconds / 1e9

if (given.json) console.log(JSON.stringify({ scans, queries: asked, width, neighbours, seconds, gflops: rate }))
else
  console.log(
    `neighbours: the ${neighbours} nearest of ${scans} scans to ${asked} references, ${width} numbers each: ` +
      `${seconds.toFixed(2)} s, ${rate.toFixed(0)} GFLOP/s, ${engine.threads} threads`,
  )
