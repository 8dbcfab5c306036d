import { describe, expect, test } from 'vitest'
import { addon } from '../../src/engine/addon.js'
import { openEngine } from '../../src/engine/index.js'
import {
  bfloat16,
  type Call,
  engines,
  integers,
  kept,
  type Plain,
  relativeError,
  runCalls,
  sameBits,
  uniform,
} from './harness.js'
import { conv3d, conv3dGrad, convTranspose3d, convTranspose3dGrad } from './reference.js'

// The CPU engine's own path: 3x3x3 convolutions, and transposed ones k4 s2 p1, by tiles (engine/cpu/winograd.h), where the
// CPU has AVX2.

interface Problem {
  name: string
  input: readonly [number, number, number, number, number]
  skip?: number
  out: number
  /** Transposed, k4 s2 p1. */
  doubling?: boolean
}

const problems: Problem[] = [
  { name: 'tiles over the border, an odd number of blocks', input: [2, 5, 11, 14, 32], out: 48 },
  { name: 'two inputs', input: [1, 9, 16, 15, 16], skip: 48, out: 32 },
  { name: 'doubled extents', input: [2, 8, 15, 13, 48], out: 32, doubling: true },
  // What is too large for a cache at once is worked on in parts, by tiles two planes deep.
  { name: 'planes and rows of tiles in parts', input: [1, 41, 32, 28, 16], out: 16 },
  { name: 'several images', input: [5, 4, 16, 16, 64], out: 16 },
  { name: 'output channels in parts', input: [1, 12, 8, 8, 256], out: 80 },
  { name: 'planes in parts for the weight gradient, too', input: [1, 54, 5, 5, 512], out: 32 },
  { name: 'images and output channels in parts', input: [2, 26, 5, 5, 512], out: 48 },
  // Few voxels: threads share out the output channels, if there are enough of these.
  { name: 'few voxels of many channels', input: [2, 4, 8, 8, 96], out: 48 },
  { name: 'few voxels, doubled', input: [1, 6, 16, 15, 64], out: 32, doubling: true },
  { name: 'doubled extents, in parts', input: [1, 38, 7, 7, 768], out: 16, doubling: true },
]

const same = { stride: [1, 1, 1], padding: [1, 1, 1] } as const
const twice = { stride: [2, 2, 2], padding: [1, 1, 1] } as const

function draw(
  { input, skip: more, out, doubling }: Problem,
  values: (shape: readonly number[], seed: number) => Plain,
) {
  const [images, ...extents] = input.slice(0, 4)
  const x = values(input, 1)
  const skip = more === undefined ? undefined : values([...input.slice(0, 4), more], 2)
  const weight = values(doubling ? [input[4], out, 4, 4, 4] : [out, input[4] + (more ?? 0), 3, 3, 3], 3)
  const dy = values([images!, ...extents.map((extent) => (doubling ? 2 : 1) * extent), out], 4)
  return { x, skip, weight, dy, doubling }
}
type Drawn = ReturnType<typeof draw>

function expected({ x, skip, weight, dy, doubling }: Drawn): Record<string, Plain> {
  if (doubling)
    return {
      y: convTranspose3d(x, weight, undefined, twice.stride, twice.padding),
      ...convTranspose3dGrad(x, weight, dy, twice.stride, twice.padding),
    }
  return {
    y: conv3d(x, skip, weight, undefined, same.stride, same.padding),
    ...conv3dGrad(x, skip, weight, dy, same.stride, same.padding),
  }
}

const [plain] = engines('fp32').filter(({ device }) => device === 'cpu')
const [rounded] = engines('bf16').filter(({ device }) => device === 'cpu')
/** Whether this CPU has the instructions: elsewhere the same is asked of oneDNN's convolutions. */
const byTiles = /AVX2|AVX-512|AMX/.test(addon('cpu').about.instructions)

async function computed({ x, skip, weight, dy, doubling }: Drawn, engine = plain!): Promise<Record<string, Plain>> {
  const inputs = { x, ...(skip && { skip }), weight }
  const operation = doubling ? 'conv_transpose3d' : 'conv3d'
  const attributes = doubling ? twice : same
  return runCalls(
    engine,
    [
      { operation, inputs, outputs: { y: dy.shape }, attributes },
      {
        operation: `${operation}_grad`,
        inputs: { ...inputs, dy },
        outputs: { dx: x.shape, ...(skip && { dskip: skip.shape }), dweight: weight.shape },
        attributes,
      },
    ],
    ({ operations }) => {
      if (byTiles) for (const { detail } of operations) expect(detail).toMatch(/^winograd(, winograd)*$/)
    },
  )
}

describe.skipIf(!plain)('convolution by tiles and its gradient', () => {
  // Every matrix is of whole numbers, and sums at the points stay below 2^24: equality is asked for.
  test.each(problems)('of small whole numbers, exactly: $name', async (problem) => {
    const drawn = draw(problem, integers)
    const results = await computed(drawn)
    for (const [role, value] of Object.entries(expected(drawn)))
      if (role in results) expect(relativeError(results[role]!.data, value.data), role).toBe(0)
  })

  // The method's own rounding: at a tile's far corner the output's transform weighs the points at +-2 by 8 an axis, where B^T
  // has made values sqrt(10) as large. Lavin and Gray's matrices in NumPy's float32, with sums as long, are off by 7e-6 to
  // 1e-5 of the largest result; twice that is allowed. (oneDNN's direct sums are off by 2e-7 to 1.4e-6.)
  test.each(problems.slice(0, 5))('of any numbers, to 2e-5: $name', async (problem) => {
    const drawn = draw(problem, uniform)
    const results = await computed(drawn)
    for (const [role, value] of Object.entries(expected(drawn)))
      if (role in results) expect(relativeError(results[role]!.data, value.data), role).toBeLessThan(2e-5)
  })

  test.each([2, 3, 7, 8, 9].map((i) => problems[i]!))(
    'with the same bits on any number of threads: $name',
    async (problem) => {
      const drawn = draw(problem, uniform)
      const results = await computed(drawn)
      for (const threads of [1, 3, 5]) {
        const others = await computed(drawn, openEngine({ device: 'cpu', precision: 'fp32', threads }))
        for (const role of ['y', 'dx', 'dweight'])
          expect(sameBits(others[role]!.data, results[role]!.data), `${role} of ${threads} threads`).toBe(true)
      }
    },
  )

  test.skipIf(!rounded)('of bfloat16: sums are float32, rounded once', async () => {
    const { skip: _, doubling: __, ...drawn } = draw(problems[0]!, integers)
    const cast = (name: string, value: Plain): Call => ({
      operation: 'cast',
      inputs: { x: { ...value, name: `${name}.dense` } },
      outputs: { y: { name, shape: value.shape } },
    })
    const { x, weight, dy } = drawn
    const results = await runCalls(rounded!, [
      cast('xh', x),
      cast('dyh', dy),
      {
        operation: 'conv3d',
        inputs: { x: 'xh', weight },
        outputs: { y: { name: 'yh', shape: dy.shape } },
        attributes: same,
      },
      kept('yh', dy.shape, 'y'),
      {
        operation: 'conv3d_grad',
        inputs: { x: 'xh', weight, dy: 'dyh' },
        outputs: { dx: { name: 'dxh', shape: x.shape }, dweight: weight.shape },
        attributes: same,
      },
      kept('dxh', x.shape, 'dx'),
    ])
    const exact = expected({ ...drawn, skip: undefined, doubling: false })
    expect(relativeError(results.y!.data, bfloat16(exact.y!).data)).toBe(0)
    expect(relativeError(results.dx!.data, bfloat16(exact.dx!).data)).toBe(0)
    expect(relativeError(results.dweight!.data, exact.dweight!.data)).toBe(0)
  })
})
