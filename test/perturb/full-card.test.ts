import { beforeAll, describe, expect, test } from 'vitest'
import type { Tensor } from '../../src/engine/index.js'
import type { Extents } from '../../src/extents.js'
import { type CubeRequest, fillCubes, type Scan } from '../../src/perturb/cubes.js'
import { CubeFiller } from '../../src/perturb/filler.js'
import { engines } from '../ops/harness.js'
import { count, someScan, someStream } from './reference.js'

const MiB = 2 ** 20
// Before the first engine of this process: a card of so little memory that one scan fills half of it.
process.env.SEMGEN_SIM_MEMORY = String(6 * MiB)
const [engine] = engines().filter(({ device }) => device === 'sim')
if (!engine) console.warn('Skipped: the sim engine is not built here.')

const scan = someScan([128, 96, 128])
const scanBytes = scan.voxels.byteLength // 3 MiB
const shape: Extents = [16, 16, 16]

function asked(
  cubes: number,
  { of = scan, size = shape, moved = true }: { of?: Scan; size?: Extents; moved?: boolean },
) {
  return Array.from({ length: cubes }, (_, i): CubeRequest => {
    const steps = [{ kind: 'elastic', sigma: [4, 4, 4], alpha: [400, 400], noise: someStream(i) }] as const
    const perturbation = { shape, flips: [false, false, false] as const, steps: moved ? steps : [] }
    return { scan: of, start: [i, 2 * i, 3], size, perturbation }
  })
}

describe.skipIf(!engine)('on a card that scans have filled', () => {
  const most = 32
  let original: Tensor, perturbed: Tensor
  beforeAll(() => {
    ;[original, perturbed] = [0, 1].map(() => engine!.tensor([most, ...shape])) as [Tensor, Tensor]
  })
  const filler = () => new CubeFiller(engine!, { scans: [scan], residentBytes: scanBytes, batchBytes: 64 * MiB })

  async function expectHostsCubes(from: CubeFiller, requests: CubeRequest[]): Promise<void> {
    const expected = [0, 1].map(() => new Float32Array(requests.length * count(shape)))
    await fillCubes(requests, shape, expected[0]!, expected[1]!, { threads: 2 })
    await from.fill(requests, shape, original, perturbed)
    for (const [i, tensor] of [original, perturbed].entries())
      expect(tensor.read().subarray(0, expected[i]!.length)).toEqual(expected[i])
  }

  test.each([
    ['to perturb more cubes', asked(most, {})],
    [
      'for boxes of scans that are not kept',
      asked(3, { of: someScan([96, 96, 96], 2), size: [80, 80, 80], moved: false }),
    ],
  ])('they are given back where memory is needed %s', async (_, requests) => {
    const from = filler()
    await expectHostsCubes(from, asked(1, {}))
    expect(from.residentBytes).toBe(scanBytes)
    await expectHostsCubes(from, requests)
    expect(from.residentBytes).toBe(0)
    from.dispose()
  })

  test('what does not fit even so is an error, and the filler goes on', async () => {
    const from = filler()
    const large = asked(8, { of: someScan([96, 96, 96], 2), size: [96, 96, 90], moved: false })
    await expect(from.fill(large, shape, original, perturbed)).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/boxes of scans/),
    })
    await expectHostsCubes(from, asked(1, {}))
    from.dispose()
  })
})
