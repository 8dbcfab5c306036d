import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { addon, projectRoot } from '../../src/engine/addon.js'
import { openEngine } from '../../src/engine/index.js'
import { Network, publishedYNet, TrainingStep } from '../../src/nn/index.js'
import { uniform } from '../ops/harness.js'

const built = existsSync(join(projectRoot(), 'native', 'sim'))
if (!built) console.warn('Skipped: the sim engine is not built here (npm run build:sim).')

type Counters = Awaited<ReturnType<typeof step>>['counters'][number]

/** One training step of a small Y-Net: every kernel the published one needs, and hot ones with their real tiles. */
async function step(precision: 'fp32' | 'bf16', baseWidth: number, seed: number) {
  const simulator = addon('sim').simulator!
  simulator.setSeed(seed)
  simulator.resetCounters()
  const engine = openEngine({ device: 'sim', precision })
  const shape = { ...publishedYNet(3), baseWidth, depth: 3, patch: [16, 16, 8], norm: 'batch' } as const
  const network = new Network(engine, shape, 1)
  const training = new TrainingStep(network, {
    batch: 2,
    restorationWeight: 1,
    classificationWeight: 0.01,
    optimizer: { kind: 'adam' },
  })
  training.input.write(uniform(training.input.shape, 1).data)
  training.target.write(uniform(training.target.shape, 2).data.map(Math.abs))
  training.labels.write(Int32Array.of(0, 2))
  const figures = await training.run(1e-3)
  training.dispose()
  const weights = network.save()
  return { figures, weights, counters: simulator.counters() }
}

/**
 * What the hot kernels may cost: sectors of global memory as a multiple of the ideal, and bank conflicts as a share of
 * the passes over shared memory. A kernel that is not listed is not hot; one that gets better may have its limit lowered.
 */
const limits: readonly { kernel: RegExp; read: number; written: number; conflicts: number }[] = [
  { kernel: /^convolveHalo</, read: 1.01, written: 1.01, conflicts: 0.02 },
  { kernel: /^haloWeightGradient/, read: 1.01, written: 1.01, conflicts: 0.05 },
  { kernel: /^convolveKernel<.*, (16|32|64|128), false>/, read: 1.15, written: 1.01, conflicts: 0 },
  { kernel: /^normaliseKernel</, read: 1.1, written: 1.01, conflicts: 0 },
  { kernel: /^gradientKernel<bf16, (Pooled|Product)/, read: 1.1, written: 1.01, conflicts: 0 },
  // Only small layers are left to it, of whose reads the parameters are an eighth: a thread's eight channels of each lie
  // half a sector from the next thread's for an instruction.
  { kernel: /^gradientKernel</, read: 1.13, written: 1.01, conflicts: 0 },
  // Their last access to partial sums is of pairs, every eighth by neighbouring threads.
  { kernel: /^gradientSumsKernel</, read: 1.1, written: 4, conflicts: 0 },
  { kernel: /^mapKernel<(Add|MaxPool)>/, read: 1.1, written: 1.01, conflicts: 0 },
  { kernel: /^adamPieces/, read: 1, written: 1, conflicts: 0 },
  { kernel: /^weightGradientKernel</, read: 1.05, written: 1.01, conflicts: 0 },
  // Few channels a row: their taps begin in the middle of sectors, and of banks.
  { kernel: /^packByTap</, read: 1.3, written: 1.01, conflicts: 0.35 },
  { kernel: /^sumSplitsKernel/, read: 1.01, written: 1.01, conflicts: 0 },
]

describe.skipIf(!built)('a training step in the simulator', () => {
  it.each([
    ['fp32', 2],
    ['bf16', 8],
  ] as const)('has the same bits whatever the order of threads and blocks: %s', async (precision, baseWidth) => {
    const first = await step(precision, baseWidth, 0)
    for (const seed of [1, 2]) {
      const other = await step(precision, baseWidth, seed)
      expect(other.figures).toEqual(first.figures)
      expect(other.weights).toEqual(first.weights)
    }
  })

  it('keeps the hot kernels within their limits', async () => {
    const { counters } = await step('bf16', 8, 0)
    const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)
    const tooMuch = (one: Counters) => {
      const read = share(one.sectorsRead, one.sectorsReadIdeal)
      const written = share(one.sectorsWritten, one.sectorsWrittenIdeal)
      const conflicts = share(one.bankConflicts, one.sharedWavefronts)
      const limit = limits.find(({ kernel }) => kernel.test(one.kernel))
      if (!limit || (read <= limit.read && written <= limit.written && conflicts <= limit.conflicts)) return []
      const [r, w, c] = [read, written, conflicts].map((value) => value.toFixed(3))
      return [`${one.kernel}: ${r}x the ideal sectors read, ${w}x written, ${c} of the passes are conflicts`]
    }
    expect(counters.flatMap(tooMuch)).toEqual([])
    for (const { kernel } of limits)
      expect(
        counters.some((one) => kernel.test(one.kernel)),
        String(kernel),
      ).toBe(true)
    // The convolutions of a bfloat16 step are on tensor cores.
    expect(counters.reduce((sum, one) => sum + one.mmaBf16, 0)).toBeGreaterThan(100_000)
  })
})
