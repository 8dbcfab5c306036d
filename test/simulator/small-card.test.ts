import { describe, expect, test } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import { bfloat16, engines, integers, kept, runCalls } from '../ops/harness.js'
import { conv3d } from '../ops/reference.js'

// Before the first engine of this process: shared memory as sm_86, sm_89 and sm_120 have it.
const limit = 99
process.env.SEMGEN_SIM_SHARED = String(limit)
const [opened] = engines('bf16').filter(({ device }) => device === 'sim')
if (!opened) console.warn('Skipped: the sim engine is not built here.')

describe.skipIf(!opened)('on a card with less shared memory', () => {
  // With the 227 KiB of sm_90 both keep two halos: 176,192 and 152,768 bytes.
  test.each([
    [[1, 8, 8, 8, 64], 32],
    [[1, 8, 8, 4, 64], 128],
    // 64 columns do not fit beside it even so, and 32 are taken.
    [[1, 8, 8, 8, 64], 64],
  ])('a convolution of %j to %i channels keeps one halo at a time, and is as exact', async (shape, out) => {
    const x = integers(shape, 1)
    const weight = integers([out, 64, 3, 3, 3], 3)
    const bias = integers([out], 4)
    const y = conv3d(x, undefined, weight, bias, [1, 1, 1], [1, 1, 1])
    const { simulator } = addon('sim')
    simulator!.resetCounters()
    const attributes = { stride: [1, 1, 1], padding: [1, 1, 1] }
    const yh = { name: 'yh', shape: y.shape }
    const results = await runCalls(opened!, [
      { operation: 'cast', inputs: { x: { ...x, name: 'x.dense' } }, outputs: { y: { name: 'xh', shape } } },
      { operation: 'conv3d', inputs: { x: 'xh', weight, bias }, outputs: { y: yh }, attributes },
      kept('yh', y.shape, 'y'),
    ])
    expect(results.y!.data).toEqual(bfloat16(y).data)
    const halo = simulator!.counters().find(({ kernel }) => kernel.startsWith('convolveHalo'))
    expect(halo, 'the kernel that keeps a halo was launched').toBeDefined()
    expect(halo!.dynamicShared).toBeLessThanOrEqual(limit * 1024)
  })
})
