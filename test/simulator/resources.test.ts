import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { type Architecture, occupancy, type ResourceTable, resourceTable } from '../../bench/occupancy.js'
import { projectRoot } from '../../src/engine/addon.js'

/** The kernels that hold most of a step, and how they are launched: threads, and dynamic shared memory in bytes. */
const hot: readonly { kernel: RegExp; threads: number; dynamicShared: number }[] = [
  { kernel: /^convolveHalo<Tile<512, 32> >$/, threads: 256, dynamicShared: 176_192 },
  { kernel: /^convolveHalo<Tile<512, 64> >$/, threads: 256, dynamicShared: 184_000 },
  { kernel: /^convolveHalo<Tile<256, 128> >$/, threads: 256, dynamicShared: 152_768 },
  { kernel: /^haloWeightGradient$/, threads: 288, dynamicShared: 74_048 },
  { kernel: /^convolveKernel<Tile<\(Arithmetic\)0, .*> >$/, threads: 256, dynamicShared: 51_200 },
  { kernel: /^weightGradientKernel<Tile<\(Arithmetic\)0, .*> >$/, threads: 256, dynamicShared: 51_200 },
  { kernel: /^(convolveFirstLayer|firstLayerGradient)$/, threads: 256, dynamicShared: 21_680 },
  { kernel: /^(normalise|gradient|gradientSums)Kernel<bf16>$/, threads: 256, dynamicShared: 0 },
  { kernel: /^sumSplitsKernel$/, threads: 256, dynamicShared: 0 },
  { kernel: /^adamPieces$/, threads: 256, dynamicShared: 0 },
]

const nvcc = /release ([\d.]+)/.exec(spawnSync('nvcc', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1]
const table = resourceTable()
const known = nvcc === table.nvcc
if (!known)
  console.info(`skipped: kernels are not compiled: nvcc ${table.nvcc} is needed, and ${nvcc ?? 'none'} is here`)

describe('the resources of kernels', () => {
  const named = (kernel: RegExp) => Object.entries(table.kernels).filter(([name]) => kernel.test(name))

  it.each(['sm_80', 'sm_90', 'sm_120'] as const)('no hot kernel spills on %s', (architecture) => {
    for (const { kernel } of hot) {
      expect(named(kernel).length, String(kernel)).toBeGreaterThan(0)
      for (const [name, by] of named(kernel))
        expect({ name, ...by[architecture] }).toMatchObject({ name, spilled: 0, stack: 0 })
    }
  })

  it('a multiprocessor of sm_90 holds at least one block of each, and half its warps of what memory bounds', () => {
    for (const { kernel, ...launch } of hot)
      for (const [name, by] of named(kernel)) {
        const { blocks, share } = occupancy(by.sm_90!, launch, 'sm_90')
        expect(blocks, name).toBeGreaterThanOrEqual(1)
        if (/^(normalise|sumSplits|adam)/.test(name)) expect(share, name).toBeGreaterThanOrEqual(0.5)
      }
  })

  it('occupancy is what the occupancy calculator says', () => {
    const of = (registers: number, threads: number, shared: number, architecture: Architecture) =>
      occupancy({ registers, shared: 0, stack: 0, spilled: 0 }, { threads, dynamicShared: shared }, architecture)
    expect(of(32, 256, 0, 'sm_90')).toEqual({ blocks: 8, share: 1 })
    expect(of(128, 256, 0, 'sm_80')).toEqual({ blocks: 2, share: 0.25 })
    expect(of(40, 256, 100 * 1024, 'sm_90')).toEqual({ blocks: 2, share: 0.25 })
    expect(of(255, 1024, 0, 'sm_80').blocks).toBe(0)
    expect(of(64, 128, 0, 'sm_120')).toEqual({ blocks: 8, share: 32 / 48 })
  })

  // Two files with hot kernels that compile in seconds: the table is not older than they are.
  it.skipIf(!known)('the table says what nvcc says', () => {
    const words = ['scripts/kernel-resources.mjs', '--arch', 'sm_90', 'cuda/conv3d/halo.cu', 'cuda/norm/vectors.cu']
    const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: projectRoot(), encoding: 'utf8' })
    expect(stderr).toBe('')
    for (const [name, by] of Object.entries((JSON.parse(stdout) as ResourceTable).kernels))
      expect({ name, ...table.kernels[name]?.sm_90 }).toEqual({ name, ...by.sm_90 })
  })
})
