/**
 * One training step: forward, losses, backward, Adam; on this engine and, where it is installed, on Debian's PyTorch, in
 * turns, step by step. Prints the medians, the ratio, the memory, and where the time goes as a waterfall. With
 * --device sim no times, which would be the host's.
 *
 *   node dist/bench/step.js [--json] [--device auto] [--batch 4] [--steps 5] [--precision fp32|bf16] [--threads N]
 *                           [--base-width 32] [--patch 64x64x32] [--decoder auto|composed|two-step] [--tiles FILE] [--no-torch] [--case FILE]
 *
 * Both begin with the same weights and batch (kept in FILE, where one is given), so the losses of every step can be
 * compared. bench/compare_pytorch.py does the same on a card.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Device, openEngine, type Precision } from '../src/engine/index.js'
import type { DecoderMode, TrainingStep } from '../src/nn/index.js'
import { measureLimits, timed } from './limits.js'
import { peakMemory } from './memory.js'
import { TorchPeer, type TorchStep } from './torch-peer.js'
import { extentsFrom, median, noisyStep, writeCase } from './training-step.js'
import { describeBytes, describeWaterfall, waterfallOf } from './waterfall.js'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    tiles: { type: 'string' },
    batch: { type: 'string', default: '4' },
    steps: { type: 'string', default: '5' },
    precision: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    'base-width': { type: 'string', default: '32' },
    patch: { type: 'string', default: '64x64x32' },
    decoder: { type: 'string', default: 'auto' },
    'no-torch': { type: 'boolean', default: false },
    case: { type: 'string' },
  },
})

const batch = Number(options.batch)
const steps = Number(options.steps)
const threads = Number(options.threads)
const patch = extentsFrom(options.patch)
const scratch = options.case === undefined ? mkdtempSync(join(tmpdir(), 'semgen-bench-')) : undefined
const casePath = options.case ?? join(scratch!, 'case.safetensors')

/** A peer that fails does not cost the engine's own figures. */
const unlessItFails = <T>(answer: Promise<T>) =>
  answer.catch((error: Error) => {
    console.error(error.message)
    return undefined
  })

/** Seconds of steps that this engine and PyTorch take in turns, after one each that is not counted. */
async function inTurns(step: TrainingStep, torch: TorchPeer | undefined) {
  const losses = [(await step.run(1e-3)).loss]
  const peers: TorchStep[] = []
  const peerStep = async () => {
    const taken = torch && (await unlessItFails(torch.step()))
    if (taken) peers.push(taken)
    else torch = undefined
  }
  await peerStep()
  const seconds: number[] = []
  let busy = 0
  for (let i = 0; i < steps; i++) {
    const before = process.cpuUsage()
    const start = performance.now()
    const { loss } = await step.run(1e-3)
    seconds.push((performance.now() - start) / 1000)
    const { user, system } = process.cpuUsage(before)
    busy += (user + system) / 1e6
    losses.push(loss)
    await peerStep()
  }
  /** A thread that waits for another is busy, too: OpenMP's do not sleep. */
  const busyCores = busy / seconds.reduce((sum, value) => sum + value)
  return { losses, seconds, busyCores, peers }
}

async function measure() {
  const engine = openEngine({
    device: options.device as Device,
    precision: options.precision as Precision | undefined,
    tiles: options.tiles,
    threads,
  })
  const width = Number(options['base-width'])
  const { network, step } = noisyStep(engine, { batch, width, patch, decoder: options.decoder as DecoderMode })
  const { plan } = step
  await writeCase(casePath, network, step)
  const simulated = engine.device === 'sim'
  const started =
    simulated || options['no-torch']
      ? undefined
      : await unlessItFails(TorchPeer.start(casePath, threads, engine.precision, width))
  const { losses, seconds, busyCores, peers } = await inTurns(step, started?.peer)
  const about = {
    precision: engine.precision,
    library: engine.about.library,
    instructions: engine.about.instructions,
    losses,
    peakBytes: peakMemory(),
    arenaBytes: plan.arenaBytes,
    persistentBytes: plan.persistentBytes,
    reorders: plan.reorders,
  }
  if (simulated) return { ours: about, operations: plan.operations }
  const ending = started && (await unlessItFails(started.peer.finish()))
  const torchSeconds = peers.slice(1).map(({ seconds }) => seconds)
  const torch = ending && {
    version: started.version,
    seconds: torchSeconds,
    losses: peers.map(({ loss }) => loss),
    median: median(torchSeconds),
    ...ending,
  }
  const operations = await timed({ plan, profile: () => step.profile(1e-3) }, steps)
  step.dispose()
  const byOperation = new Map<string, number>()
  for (const { operation, seconds } of operations)
    byOperation.set(operation, (byOperation.get(operation) ?? 0) + seconds)
  const ours = {
    ...about,
    seconds,
    median: median(seconds),
    busyCores,
    byOperation: Object.fromEntries([...byOperation].sort((a, b) => b[1] - a[1])),
  }
  return { ours, torch, waterfall: waterfallOf(ours.median, operations, await measureLimits(engine, steps)) }
}

const { ours, torch, waterfall, operations } = await measure()
const timedOurs = 'median' in ours ? ours : undefined
if (scratch) rmSync(scratch, { recursive: true })
const result = {
  what: 'training step of the Y-Net 3D',
  batch,
  patch,
  width: Number(options['base-width']),
  precision: ours.precision,
  threads,
  decoder: options.decoder,
  cpu: cpus()[0]?.model ?? 'unknown',
  node: process.versions.node,
  ours,
  torch,
  ratio: torch && timedOurs && torch.median / timedOurs.median,
  waterfall,
  operations,
}
if (options.json) {
  console.log(JSON.stringify(result, null, 1))
} else {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
  console.log(
    `${result.what}: width ${result.width}, patch ${patch.join('x')}, batch ${batch}, ${result.precision}, ${threads} threads`,
  )
  console.log(
    `  semgen-native  ${timedOurs ? `${timedOurs.median.toFixed(3)} s` : 'no time of a simulation'}  peak ${mib(ours.peakBytes)}  (arena ${mib(ours.arenaBytes)}, persistent ${mib(ours.persistentBytes)}, ${ours.reorders} reorders)  ${ours.library}, ${ours.instructions}`,
  )
  if (torch)
    console.log(
      `  PyTorch ${torch.version}  ${torch.median.toFixed(3)} s  peak ${mib(torch.peakBytes)}  ratio ${result.ratio!.toFixed(2)}`,
    )
  const loss = (losses: readonly number[]) => losses.map((value) => value.toFixed(5)).join(' ')
  console.log(`  losses  ours ${loss(ours.losses)}${torch ? `, PyTorch's ${loss(torch.losses)}` : ''}`)
  if (!torch && timedOurs)
    console.log(
      `  PyTorch: not measured (${options['no-torch'] ? '--no-torch' : 'Debian’s package python3-torch is not installed, or it failed'})`,
    )
  for (const [operation, seconds] of Object.entries(timedOurs?.byOperation ?? {}))
    console.log(`    ${(seconds * 1000).toFixed(1).padStart(9)} ms  ${operation}`)
  console.log(waterfall ? describeWaterfall(waterfall) : describeBytes(operations))
}
