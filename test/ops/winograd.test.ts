import { describe, expect, test } from 'vitest'
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
import { conv3d, conv3dGrad } from './reference.js'

// The CPU engine's own path: 3x3x3 convolutions by tiles (engine/cpu/winograd.h), where the CPU has AVX-512.

interface Problem {
  name: string
  input: readonly [number, number, number, number, number]
  skip?: number
  out: number
}

const problems: Problem[] = [
  { name: 'tiles over the border, an odd number of blocks', input: [2, 5, 11, 14, 32], out: 48 },
  { name: 'two inputs', input: [1, 3, 8, 7, 16], skip: 48, out: 32 },
  // What is too large for a cache at once is worked on in parts.
  { name: 'planes and rows of tiles in parts', input: [1, 40, 32, 28, 16], out: 16 },
  { name: 'several images', input: [5, 4, 16, 16, 64], out: 16 },
  { name: 'output channels in parts', input: [1, 4, 8, 4, 256], out: 80 },
  { name: 'planes in parts for the weight gradient, too', input: [1, 54, 5, 5, 512], out: 16 },
  { name: 'images and output channels in parts', input: [2, 26, 5, 5, 512], out: 48 },
]

const taps = { stride: [1, 1, 1], padding: [1, 1, 1] } as const

function draw({ input, skip: more, out }: Problem, values: (shape: readonly number[], seed: number) => Plain) {
  const x = values(input, 1)
  const skip = more === undefined ? undefined : values([...input.slice(0, 4), more], 2)
  const weight = values([out, input[4] + (more ?? 0), 3, 3, 3], 3)
  const dy = values([...input.slice(0, 4), out], 4)
  return { x, skip, weight, dy }
}

function expected({ x, skip, weight, dy }: ReturnType<typeof draw>): Record<string, Plain> {
  const gradients = conv3dGrad(x, skip, weight, dy, taps.stride, taps.padding)
  return { y: conv3d(x, skip, weight, undefined, taps.stride, taps.padding), ...gradients }
}

const [plain] = engines('fp32').filter(({ device }) => device === 'cpu')
const [rounded] = engines('bf16').filter(({ device }) => device === 'cpu')

async function computed(
  { x, skip, weight, dy }: ReturnType<typeof draw>,
  engine = plain!,
): Promise<Record<string, Plain>> {
  const inputs = { x, ...(skip && { skip }), weight }
  return runCalls(engine, [
    { operation: 'conv3d', inputs, outputs: { y: dy.shape }, attributes: taps },
    {
      operation: 'conv3d_grad',
      inputs: { ...inputs, dy },
      outputs: { dx: x.shape, ...(skip && { dskip: skip.shape }), dweight: weight.shape },
      attributes: taps,
    },
  ])
}

describe('convolution by tiles and its gradient', () => {
  // Every matrix is of whole numbers, and sums at the points stay below 2^24: equality is asked for.
  test.each(problems)('of small whole numbers, exactly: $name', async (problem) => {
    const drawn = draw(problem, integers)
    const results = await computed(drawn)
    for (const [role, value] of Object.entries(expected(drawn)))
      if (role in results) expect(relativeError(results[role]!.data, value.data), role).toBe(0)
  })

  // Points at +-2 make values at the points up to 100 times, and sums of them up to 64 times as large as what comes out, so some
  // ten roundings of 2^-24 grow to 1e-5 of the largest result at most; a direct sum has about 1e-6.
  test.each(problems.slice(0, 2))('of any numbers, to 1e-5: $name', async (problem) => {
    const drawn = draw(problem, uniform)
    const results = await computed(drawn)
    for (const [role, value] of Object.entries(expected(drawn)))
      if (role in results) expect(relativeError(results[role]!.data, value.data), role).toBeLessThan(1e-5)
  })

  test.each([problems[2]!, problems[6]!])('with the same bits on any number of threads: $name', async (problem) => {
    const drawn = draw(problem, uniform)
    const results = await computed(drawn)
    for (const threads of [1, 3]) {
      const others = await computed(drawn, openEngine({ device: 'cpu', precision: 'fp32', threads }))
      for (const role of ['y', 'dx', 'dweight'])
        expect(sameBits(others[role]!.data, results[role]!.data), `${role} of ${threads} threads`).toBe(true)
    }
  })

  test.skipIf(!rounded)('of bfloat16: sums are float32, rounded once', async () => {
    const { skip: _, ...drawn } = draw(problems[0]!, integers)
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
        attributes: taps,
      },
      kept('yh', dy.shape, 'y'),
      {
        operation: 'conv3d_grad',
        inputs: { x: 'xh', weight, dy: 'dyh' },
        outputs: { dx: { name: 'dxh', shape: x.shape }, dweight: weight.shape },
        attributes: taps,
      },
      kept('dxh', x.shape, 'dx'),
    ])
    const exact = expected({ ...drawn, skip: undefined })
    expect(relativeError(results.y!.data, bfloat16(exact.y!).data)).toBe(0)
    expect(relativeError(results.dx!.data, bfloat16(exact.dx!).data)).toBe(0)
    expect(relativeError(results.dweight!.data, exact.dweight!.data)).toBe(0)
  })
})
