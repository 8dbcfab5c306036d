import { afterAll, describe, expect, it } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import type { Engine } from '../../src/engine/index.js'
import type { Extents } from '../../src/extents.js'
import { type CubeRequest, fillCubes, type Scan } from '../../src/perturb/cubes.js'
import { drawPerturbation, type PerturbationStep } from '../../src/perturb/draw.js'
import { CubeFiller, type CubeFillerOptions } from '../../src/perturb/filler.js'
import { namedRecipes } from '../../src/perturb/recipe.js'
import { Random } from '../../src/random.js'
import { engines } from '../ops/harness.js'
import { count, someScan, someStream } from './reference.js'

// What the host's path gives is compared with float64 and SciPy in the other files here. Engines must give the same
// bits: their kernels round after every product and sum, in the host's order.

const scans = [someScan([40, 36, 20]), someScan([17, 50, 9], 2), someScan([30, 30, 30], 3)]
const noFlips = [false, false, false] as const

interface Cubes {
  original: Float32Array
  perturbed: Float32Array
}

async function onHost(requests: readonly CubeRequest[], shape: Extents): Promise<Cubes> {
  const original = new Float32Array(requests.length * count(shape))
  const perturbed = new Float32Array(original.length)
  await fillCubes(requests, shape, original, perturbed, { threads: 1 })
  return { original, perturbed }
}

async function onEngine(
  engine: Engine,
  requests: readonly CubeRequest[],
  shape: Extents,
  options: Partial<CubeFillerOptions> = {},
): Promise<Cubes & { resident: number }> {
  const filler = new CubeFiller(engine, { scans, residentBytes: 2 ** 20, ...options })
  try {
    const original = engine.tensor([requests.length, ...shape])
    const perturbed = engine.tensor([requests.length, ...shape])
    await filler.fill(requests, shape, original, perturbed)
    return { original: original.read(), perturbed: perturbed.read(), resident: filler.residentBytes }
  } finally {
    filler.dispose()
  }
}

/** Cubes that are whole scans of this shape, one for each row of steps. */
function wholeCubes(shape: Extents, rows: readonly PerturbationStep[][]): CubeRequest[] {
  return rows.map((steps, i) => ({
    scan: someScan(shape, 10 + i),
    start: [0, 0, 0],
    size: shape,
    perturbation: { shape, flips: noFlips, steps },
  }))
}

const elastic = (seed: number, options: object = {}): PerturbationStep => ({
  kind: 'elastic',
  sigma: [8, 8, 8],
  alpha: [991, 991],
  noise: someStream(seed),
  ...options,
})
const shuffling = (seed: number, blocks: number, largest: Extents): PerturbationStep => ({
  kind: 'shuffling',
  blocks,
  largest,
  draws: someStream(seed),
})
const painting = (kind: 'inpainting' | 'outpainting', seed: number): PerturbationStep => ({
  kind,
  blocks: [
    { start: [1, 2, 0], size: [3, 2, 4] },
    { start: [3, 3, 2], size: [5, 4, 3] },
  ],
  noise: someStream(seed),
})
const curve = (inverted: boolean): PerturbationStep => ({
  kind: 'nonlinear',
  x: [0.9, 0.15],
  y: [0.05, 0.6],
  inverted,
})

/** What is asked, by a name; each with extents that fill no tile among the usual ones. */
const cases: [string, Extents, () => CubeRequest[]][] = [
  ...(
    [
      [[16, 16, 8], {}],
      [[13, 9, 7], {}],
      [[70, 6, 5], { sigma: [8, 1, 1] }],
      [[5, 6, 71], { sigma: [0, 3, 30], alpha: [400, -300] }],
      [[12, 40, 1], { sigma: [4, 12, 0] }],
      [[2, 1, 3], { sigma: [1, 1, 0.7] }],
    ] as [Extents, object][]
  ).map(([shape, options]): [string, Extents, () => CubeRequest[]] => [
    `elastic deformation of ${shape}`,
    shape,
    () => wholeCubes(shape, [[elastic(1, options)], [elastic(2, { ...options, alpha: [0, 40] })]]),
  ]),
  [
    'elastic deformations of different strengths at once',
    [9, 10, 11],
    () => wholeCubes([9, 10, 11], [[elastic(3)], [elastic(4, { sigma: [2, 0.4, 5] })], [curve(false)]]),
  ],
  [
    'shuffling of small blocks, many over each other',
    [12, 11, 10],
    () =>
      wholeCubes(
        [12, 11, 10],
        [[shuffling(1, 700, [3, 2, 2])], [shuffling(2, 90, [1, 1, 1])], [shuffling(3, 0, [2, 2, 2])]],
      ),
  ],
  [
    'shuffling of blocks too large for a warp’s shared memory',
    [20, 17, 13],
    () => wholeCubes([20, 17, 13], [[shuffling(4, 40, [20, 17, 13])], [shuffling(5, 7, [2, 3, 2])]]),
  ],
  [
    'shuffling of middling blocks',
    [20, 17, 13],
    () => wholeCubes([20, 17, 13], [[shuffling(6, 60, [10, 10, 10])], [shuffling(7, 33, [6, 8, 8])]]),
  ],
  [
    'curves',
    [10, 9, 7],
    () =>
      wholeCubes(
        [10, 9, 7],
        [[curve(false)], [curve(true)], [{ kind: 'nonlinear', x: [0, 1], y: [1, 0], inverted: false }]],
      ),
  ],
  [
    'in- and out-painting',
    [9, 8, 7],
    () =>
      wholeCubes(
        [9, 8, 7],
        [
          [painting('inpainting', 1)],
          [painting('outpainting', 2)],
          [{ kind: 'outpainting', blocks: [], noise: someStream(3) }],
        ],
      ),
  ],
  [
    'quarter turns',
    [9, 9, 4],
    () =>
      wholeCubes(
        [9, 9, 4],
        [0, 1, 2, 3].map((quarterTurns) => [{ kind: 'rotation', quarterTurns }]),
      ),
  ],
  [
    'all steps one after the other, in several orders and numbers',
    [10, 10, 7],
    () =>
      wholeCubes(
        [10, 10, 7],
        [
          [
            elastic(5),
            shuffling(8, 100, [2, 2, 2]),
            curve(true),
            painting('inpainting', 4),
            { kind: 'rotation', quarterTurns: 1 },
          ],
          [painting('outpainting', 5), elastic(6), elastic(7)],
          [],
          [{ kind: 'rotation', quarterTurns: 3 }, curve(false), shuffling(9, 50, [3, 3, 3])],
        ],
      ),
  ],
  [
    'boxes over the border, grown and shrunk, mirrored',
    [8, 7, 6],
    () => {
      const boxes: [Scan, Extents, Extents][] = [
        [scans[0]!, [5, 7, 3], [8, 7, 6]],
        [scans[0]!, [-3, 30, 12], [10, 9, 11]],
        [scans[1]!, [-100, 10, 5], [8, 8, 8]],
        [scans[2]!, [10, 500, -500], [3, 4, 5]],
        [scans[2]!, [0, 0, 0], [30, 30, 30]],
        [scans[1]!, [16, 49, 8], [1, 1, 1]],
        [scans[1]!, [-7, -7, -7], [60, 70, 40]],
      ]
      return boxes.map(([scan, start, size], i) => ({
        scan,
        start,
        size,
        ...(i % 2
          ? { perturbation: { shape: [8, 7, 6], flips: [i % 3 === 0, i % 4 === 1, i > 2], steps: [curve(false)] } }
          : {}),
      }))
    },
  ],
]

/** As training draws them, of both recipes. */
function drawn(shape: Extents, cubes: number): CubeRequest[] {
  const recipes = [namedRecipes.official, namedRecipes['models-genesis']]
  return Array.from({ length: cubes }, (_, i) => {
    const random = new Random(4, 'filler', i)
    const start: Extents = [random.integer(-5, 30), random.integer(-5, 30), random.integer(-3, 15)]
    const size: Extents = i % 3 ? shape : [random.integer(8, 20), random.integer(8, 20), shape[2]]
    return { scan: scans[i % 3]!, start, size, perturbation: drawPerturbation(recipes[i % 2]!, random, shape) }
  })
}

const devices = engines()

describe.each(devices.map((engine) => [engine.device, engine] as const))('cubes made on %s', (device, engine) => {
  const simulator = addon(device).simulator
  afterAll(() => simulator?.setSeed(0))

  it.each(cases)('are those of the host: %s', async (_, shape, requests) => {
    const asked = requests()
    const expected = await onHost(asked, shape)
    // Perturbed, unless nothing was to change: a comparison of nothing would pass as well.
    if (asked.some(({ perturbation }) => perturbation?.steps.length))
      expect(expected.perturbed).not.toEqual(expected.original)
    const { original, perturbed } = await onEngine(engine, asked, shape)
    expect(original).toEqual(expected.original)
    expect(perturbed).toEqual(expected.perturbed)
  })

  it('are those of the host as training draws them, wherever the scans are, in any schedule, in parts', async () => {
    const shape: Extents = [16, 16, 8]
    const requests = drawn(shape, 12)
    const expected = await onHost(requests, shape)
    const bytes = scans.map(({ voxels }) => voxels.byteLength)
    const onDevice = device === 'cpu' ? 0 : 1
    for (const [seed, resident, residentBytes, batchBytes] of [
      [0, bytes[0]! + bytes[1]! + bytes[2]!, 2 ** 30, 2 ** 28],
      [5, 0, 0, 100_000],
      [77, bytes[0]! + bytes[1]!, bytes[0]! + bytes[1]! + bytes[2]! - 2, 0],
    ] as const) {
      simulator?.setSeed(seed)
      const made = await onEngine(engine, requests, shape, { residentBytes, batchBytes })
      expect(made.original).toEqual(expected.original)
      expect(made.perturbed).toEqual(expected.perturbed)
      expect(made.resident).toBe(onDevice * resident)
    }
  })

  it('fill batch after batch, only what was asked, several at once', async () => {
    const shape: Extents = [8, 8, 8]
    const filler = new CubeFiller(engine, { scans, residentBytes: scans[1]!.voxels.byteLength })
    const requests = drawn(shape, 9)
    const parts = [requests.slice(0, 2), requests.slice(2, 3), requests.slice(3), []]
    const tensors = parts.map(() => [0, 1].map(() => engine.tensor([7, ...shape]).fill(7)) as [never, never])
    await Promise.all(parts.map((part, i) => filler.fill(part, shape, ...tensors[i]!)))
    for (const [i, part] of parts.entries()) {
      const expected = await onHost(part, shape)
      const [original, perturbed] = tensors[i]!.map((tensor: ReturnType<Engine['tensor']>) => tensor.read())
      expect(original!.subarray(0, part.length * 512)).toEqual(expected.original)
      expect(perturbed!.subarray(0, part.length * 512)).toEqual(expected.perturbed)
      expect(original!.subarray(part.length * 512).every((value) => value === 7)).toBe(true)
    }
    const target = engine.tensor([1, ...shape])
    await filler.fill([{ scan: someScan([9, 9, 9], 9), start: [1, 0, 0], size: shape }], shape, target)
    expect(target.read()).toEqual(
      (await onHost([{ scan: someScan([9, 9, 9], 9), start: [1, 0, 0], size: shape }], shape)).original,
    )
    filler.dispose()
  })

  it('are cut from scans that take many copies to bring', async () => {
    const shape: Extents = [300, 291, 100]
    const scan = { shape, voxels: Uint16Array.from({ length: count(shape) }, (_, i) => (i * 40503) >>> 3) }
    const requests = [0, 137, 290].map((x): CubeRequest => ({ scan, start: [x, x, 90], size: [8, 8, 12] }))
    const expected = await onHost(requests, [8, 8, 12])
    for (const residentBytes of [scan.voxels.byteLength, 0]) {
      const { original } = await onEngine(engine, requests, [8, 8, 12], { scans: [scan], residentBytes })
      expect(original).toEqual(expected.original)
    }
  })

  it('refuse what does not fit, in a sentence', async () => {
    const shape: Extents = [8, 8, 8]
    const filler = new CubeFiller(engine, { scans })
    const good: CubeRequest = { scan: scans[0]!, start: [0, 0, 0], size: shape }
    const tensor = engine.tensor([1, ...shape]).fill(7)
    const fill = (...call: Parameters<typeof filler.fill>) => expect(filler.fill(...call)).rejects
    await fill([good, good], shape, tensor).toThrow(/2 cubes of 8 x 8 x 8 voxels need 1024 float32 values/)
    await fill([good], shape, engine.tensor([1, ...shape], 'i32')).toThrow(/need 512 float32 values/)
    await fill([{ ...good, size: [0, 1, 1] }], shape, tensor).toThrow(/1 to 32768 voxels a side/)
    await fill([{ ...good, perturbation: { shape: [4, 4, 4], flips: noFlips, steps: [] } }], shape, tensor).toThrow(
      /drawn for 4 x 4 x 4/,
    )
    expect(tensor.read().every((value) => value === 7)).toBe(true)
    filler.dispose()
    await fill([good], shape, tensor).toThrow(/after it was disposed of/)
    expect(() => new CubeFiller(engine, { scans, residentBytes: -1 })).toThrow(/residentBytes/)
  })
})

it('tensors are copied where they are', () => {
  for (const engine of devices) {
    const [from, to] = [engine.tensor([3, 5]), engine.tensor([15])]
    from.write(Float32Array.from({ length: 15 }, (_, i) => i / 7))
    to.write(from)
    expect(to.read()).toEqual(from.read())
    expect(() => to.write(engine.tensor([14]))).toThrow(/takes no copy/)
    expect(() => to.write(engine.tensor([15], 'i32'))).toThrow(/another type/)
  }
})
