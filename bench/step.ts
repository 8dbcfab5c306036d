/**
 * One training step: forward, losses, backward, Adam; on this engine and, where it is installed, on Debian's PyTorch, in
 * one run, one after the other. Prints the medians, the ratio, the memory, and where the time goes.
 *
 *   node dist/bench/step.js [--json] [--batch 4] [--steps 3] [--precision fp32|bf16] [--threads 2] [--width 32]
 *                           [--patch 64x64x32] [--decoder auto|composed|two-step] [--no-torch]
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../src/engine/addon.js'
import { openEngine, type Precision } from '../src/engine/index.js'
import type { DecoderMode } from '../src/nn/index.js'
import { extentsFrom, median, noisyStep } from './training-step.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    batch: { type: 'string', default: '4' },
    steps: { type: 'string', default: '3' },
    precision: { type: 'string', default: 'fp32' },
    threads: { type: 'string', default: '2' },
    width: { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
    decoder: { type: 'string', default: 'auto' },
    'no-torch': { type: 'boolean', default: false },
  },
})

const batch = Number(options.batch)
const steps = Number(options.steps)
const threads = Number(options.threads)
const patch = extentsFrom(options.patch)

/** Peak memory of this process, in bytes. */
const peak = () => process.resourceUsage().maxRSS * 1024

async function measureOurs() {
  const engine = openEngine({ precision: options.precision as Precision, threads })
  const step = noisyStep(engine, {
    batch,
    width: Number(options.width),
    patch,
    decoder: options.decoder as DecoderMode,
  })
  const { plan } = step
  await step.run(1e-3)
  const seconds: number[] = []
  for (let i = 0; i < steps; i++) {
    const start = performance.now()
    await step.run(1e-3)
    seconds.push((performance.now() - start) / 1000)
  }
  const peakBytes = peak()
  const profile = await step.profile(1e-3)
  const byOperation = new Map<string, number>()
  plan.operations.forEach(({ operation }, i) => {
    byOperation.set(operation, (byOperation.get(operation) ?? 0) + profile[i]!)
  })
  return {
    library: engine.about.library,
    instructions: engine.about.instructions,
    seconds,
    median: median(seconds),
    peakBytes,
    arenaBytes: plan.arenaBytes,
    persistentBytes: plan.persistentBytes,
    reorders: plan.reorders,
    byOperation: Object.fromEntries([...byOperation].sort((a, b) => b[1] - a[1])),
    operations: plan.operations.map((item, i) => ({ ...item, seconds: profile[i]! })),
  }
}

function measureTorch() {
  const python = '/usr/bin/python3'
  if (options['no-torch'] || !existsSync(python)) return undefined
  const script = join(projectRoot(), 'bench/torch_step.py')
  const words = [script, batch, steps, threads, options.precision, options.width, ...patch].map(String)
  try {
    const report = JSON.parse(execFileSync(python, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    return { ...report, median: median(report.seconds) } as {
      version: string
      seconds: number[]
      median: number
      peakBytes: number
    }
  } catch {
    return undefined
  }
}

const ours = await measureOurs()
const torch = measureTorch()
const result = {
  what: 'training step of the Y-Net 3D',
  batch,
  patch,
  width: Number(options.width),
  precision: options.precision,
  threads,
  decoder: options.decoder,
  cpu: cpus()[0]?.model ?? 'unknown',
  node: process.versions.node,
  ours,
  torch,
  ratio: torch && torch.median / ours.median,
}
if (options.json) {
  console.log(JSON.stringify(result, null, 1))
} else {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
  console.log(
    `${result.what}: width ${result.width}, patch ${patch.join('x')}, batch ${batch}, ${result.precision}, ${threads} threads`,
  )
  console.log(
    `  semgen-native  ${ours.median.toFixed(3)} s  peak ${mib(ours.peakBytes)}  (arena ${mib(ours.arenaBytes)}, persistent ${mib(ours.persistentBytes)}, ${ours.reorders} reorders)  ${ours.library}, ${ours.instructions}`,
  )
  if (torch)
    console.log(
      `  PyTorch ${torch.version}  ${torch.median.toFixed(3)} s  peak ${mib(torch.peakBytes)}  ratio ${result.ratio!.toFixed(2)}`,
    )
  else console.log('  PyTorch: not measured (Debian package python3-torch is not installed)')
  for (const [operation, seconds] of Object.entries(ours.byOperation))
    console.log(`    ${(seconds * 1000).toFixed(1).padStart(9)} ms  ${operation}`)
}
