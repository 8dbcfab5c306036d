import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import type { Block, PerturbationStep } from '../../src/perturb/draw.js'
import { fnv1a, Random } from '../../src/random.js'
import { applied, bezier, count, largestDifference, StreamReader, someScan, someStream } from './reference.js'

const inside = (block: Block, x: number, y: number, z: number) =>
  [x, y, z].every((at, axis) => at >= block.start[axis]! && at < block.start[axis]! + block.size[axis]!)

/** Every voxel's index with its coordinates. */
function* voxels([X, Y, Z]: Extents): Generator<[number, number, number, number]> {
  for (let x = 0, i = 0; x < X; x++) for (let y = 0; y < Y; y++) for (let z = 0; z < Z; z++) yield [i++, x, y, z]
}

describe('local shuffling', () => {
  const shape: Extents = [30, 24, 20]

  it('keeps the values of a block and touches nothing outside it', async () => {
    const step: PerturbationStep = { kind: 'shuffling', blocks: 1, largest: [9, 8, 7], draws: someStream(21) }
    const { original, perturbed } = await applied(someScan(shape), [step])
    const reader = new StreamReader(step.draws)
    const size = step.largest.map((most) => reader.integer(1, most + 1)) as [number, number, number]
    const start = size.map((side, axis) => reader.integer(0, shape[axis]! - side + 1)) as [number, number, number]
    expect(size[0] * size[1] * size[2]).toBeGreaterThan(50)
    const before: number[] = []
    const after: number[] = []
    let moved = 0
    for (const [i, x, y, z] of voxels(shape)) {
      if (inside({ start, size }, x, y, z)) {
        before.push(original[i]!)
        after.push(perturbed[i]!)
        if (original[i] !== perturbed[i]) moved++
      } else expect(perturbed[i]).toBe(original[i])
    }
    expect(moved).toBeGreaterThan(before.length / 2)
    expect(after.sort()).toEqual(before.sort())
  })

  it('is what the definition gives, block for block, values from before any shuffling', async () => {
    const step: PerturbationStep = { kind: 'shuffling', blocks: 500, largest: [3, 2, 2], draws: someStream(22) }
    const { original, perturbed } = await applied(someScan(shape), [step])
    const expected = Float32Array.from(original)
    const reader = new StreamReader(step.draws)
    for (let block = 0; block < 500; block++) {
      const size = step.largest.map((most) => reader.integer(1, most + 1)) as [number, number, number]
      const start = size.map((side, axis) => reader.integer(0, shape[axis]! - side + 1)) as [number, number, number]
      const indices = [...voxels(shape)].filter(([, x, y, z]) => inside({ start, size }, x, y, z)).map(([i]) => i)
      const values = indices.map((i) => original[i]!)
      for (let i = values.length - 1; i > 0; i--) {
        const j = reader.integer(0, i + 1)
        ;[values[i], values[j]] = [values[j]!, values[i]!]
      }
      indices.forEach((index, i) => {
        expected[index] = values[i]!
      })
    }
    expect(perturbed).toEqual(expected)
    expect(perturbed).not.toEqual(original)
  })
})

describe('painting', () => {
  const shape: Extents = [22, 19, 13]
  const blocks: Block[] = [
    { start: [3, 3, 3], size: [7, 5, 4] },
    { start: [8, 6, 5], size: [10, 10, 5] },
    { start: [0, 0, 12], size: [22, 1, 1] },
  ]

  it('in-painting changes only the blocks', async () => {
    const { original, perturbed } = await applied(someScan(shape), [
      { kind: 'inpainting', blocks, noise: someStream(31) },
    ])
    let painted = 0
    for (const [i, x, y, z] of voxels(shape))
      if (blocks.some((block) => inside(block, x, y, z))) painted += perturbed[i] === original[i] ? 0 : 1
      else expect(perturbed[i]).toBe(original[i])
    expect(painted).toBeGreaterThan(600)
  })

  it('out-painting keeps only the blocks', async () => {
    const { original, perturbed } = await applied(someScan(shape), [
      { kind: 'outpainting', blocks, noise: someStream(31) },
    ])
    let [kept, painted] = [0, 0]
    for (const [i, x, y, z] of voxels(shape))
      if (blocks.some((block) => inside(block, x, y, z))) {
        kept++
        expect(perturbed[i]).toBe(original[i])
      } else painted += perturbed[i] === original[i] ? 0 : 1
    // Noise that happens to equal a voxel is possible, and rare.
    expect(painted).toBeGreaterThan(0.999 * (count(shape) - kept))
  })

  it('fills with the numbers that Random gives for the same name', async () => {
    const seed = 5 + 7 * 2 ** 32
    const noise = { key: [5, fnv1a('noise')], counter: [7, 40, 41] } as const
    const { perturbed } = await applied(someScan(shape), [{ kind: 'outpainting', blocks: [], noise }])
    const random = new Random(seed, 'noise', 40, 41)
    for (const value of perturbed) expect(value).toBe(random.uniform())
  })
})

describe('non-linear intensities', () => {
  const shape: Extents = [257, 16, 16]
  const ramp = { shape, voxels: Uint16Array.from({ length: count(shape) }, (_, i) => Math.min(i, 65535)) }
  const random = new Random(41, 'curves')
  const curves = [
    { x: [0, 0], y: [1, 1] },
    { x: [1, 1], y: [0, 0] },
    { x: [1, 0], y: [0, 1] },
    { x: [1 / 3, 2 / 3], y: [1 / 3, 2 / 3] },
    ...Array.from({ length: 6 }, () => ({
      x: [random.uniform(), random.uniform()],
      y: [random.uniform(), random.uniform()],
    })),
  ] as { x: [number, number]; y: [number, number] }[]

  it.each(curves.flatMap((curve) => [false, true].map((inverted) => ({ ...curve, inverted }))))(
    'follows the curve %o in float64',
    async (curve) => {
      const { perturbed } = await applied(ramp, [{ kind: 'nonlinear', ...curve }])
      const px = [0, ...curve.x, 1] as const
      const py = curve.inverted ? ([1, curve.y[1], curve.y[0], 0] as const) : ([0, ...curve.y, 1] as const)
      // The parameter in float64, by bisection, for intensities a float32 rounding below and above: where the curve is
      // steep its value is only as certain as its abscissa. Beside that, 3e-6 covers the float32 evaluation.
      const at = (value: number) => {
        let [low, high] = [0, 1]
        for (let halving = 0; halving < 60; halving++) {
          const middle = (low + high) / 2
          if (bezier(px, middle) <= value) low = middle
          else high = middle
        }
        return bezier(py, low)
      }
      let outside = 0
      for (let i = 0; i < 65536; i += 16) {
        const ends = [at(i / 65535 - 4e-7), at(i / 65535 + 4e-7)].sort((a, b) => a - b)
        if (perturbed[i]! < ends[0]! - 3e-6 || perturbed[i]! > ends[1]! + 3e-6) outside++
      }
      expect(outside).toBe(0)
      const direction = curve.inverted ? -1 : 1
      let against = 0
      // Two neighbours may be a float32 rounding out of order where the curve is flat.
      for (let i = 1; i < 65536; i++) if (direction * (perturbed[i]! - perturbed[i - 1]!) < -3e-7) against++
      expect(against).toBe(0)
      expect(perturbed.every((value) => value >= 0 && value <= 1)).toBe(true)
    },
  )

  it('leaves intensities alone when the points lie on the diagonal', async () => {
    const { original, perturbed } = await applied(ramp, [
      { kind: 'nonlinear', x: [1 / 3, 2 / 3], y: [1 / 3, 2 / 3], inverted: false },
    ])
    expect(largestDifference(perturbed, original)).toBeLessThan(3e-7)
  })
})

describe('rotation and flips', () => {
  const shape: Extents = [9, 9, 4]
  const scan = someScan(shape)

  it.each([0, 1, 2, 3])('turns %i quarters as numpy.rot90 does, and leaves the target', async (quarterTurns) => {
    const { original, perturbed } = await applied(scan, [{ kind: 'rotation', quarterTurns }])
    let expected = Float32Array.from(original)
    for (let turn = 0; turn < quarterTurns; turn++) {
      const before = expected
      expected = new Float32Array(before.length)
      // One counter-clockwise turn: the last column becomes the first row.
      for (const [i, x, y, z] of voxels(shape)) expected[i] = before[(y * 9 + (8 - x)) * 4 + z]!
    }
    expect(perturbed).toEqual(expected)
  })

  it.each([
    [true, false, false],
    [false, true, false],
    [false, false, true],
    [true, true, true],
  ] as const)('mirrors the target as well: %s %s %s', async (...flips) => {
    const odd: Extents = [5, 8, 7]
    const { original: plain } = await applied(someScan(odd), [])
    const { original, perturbed } = await applied(someScan(odd), [], flips)
    const mirror = (at: number, axis: number) => (flips[axis] ? odd[axis]! - 1 - at : at)
    for (const [i, x, y, z] of voxels(odd))
      expect(original[i]).toBe(plain[(mirror(x, 0) * odd[1] + mirror(y, 1)) * odd[2] + mirror(z, 2)])
    expect(perturbed).toEqual(original)
  })
})
