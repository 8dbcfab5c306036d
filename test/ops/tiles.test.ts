import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  type Engine,
  openEngine,
  type Precision,
  readTiles,
  type TileChoice,
  type TileRequest,
  writeTileFile,
} from '../../src/engine/index.js'
import { bfloat16, type Call, engines, integers, kept, type Plain, runCalls } from './harness.js'
import { conv3d, conv3dGrad, convTranspose3d, convTranspose3dGrad } from './reference.js'

const [opened] = engines('bf16').filter(({ device }) => device !== 'cpu')
if (!opened) console.warn('Skipped: neither the sim nor the cuda engine is built here.')

const folder = mkdtempSync(join(tmpdir(), 'semgen-test-tiles-'))
afterAll(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'tiles.json')
const write = (tiles: Record<string, TileChoice>) => writeTileFile(path, { tuned: [], tiles })

type Triple = readonly [number, number, number]
interface Problem {
  readonly name: string
  readonly input: readonly [number, number, number, number, number]
  readonly skip?: number
  readonly out: number
  readonly kernel: Triple
  readonly stride: Triple
  readonly padding: Triple
  readonly transposed?: true
  readonly precision?: Precision
}
const dense = { kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] } as const

const problems: Problem[] = [
  { name: 'bricks, two inputs', input: [1, 9, 8, 8, 32], skip: 64, out: 40, ...dense },
  { name: 'few channels written', input: [1, 8, 8, 8, 32], out: 8, ...dense },
  { name: 'one channel read', input: [2, 8, 8, 4, 1], out: 32, ...dense },
  { name: 'uneven channels', input: [1, 9, 12, 7, 5], out: 11, ...dense },
  { name: 'stride 2', input: [1, 9, 8, 7, 32], out: 40, kernel: [3, 3, 3], stride: [2, 2, 2], padding: [1, 1, 1] },
  {
    name: 'transposed, k4 s2 p1',
    input: [1, 8, 8, 8, 32],
    out: 24,
    kernel: [4, 4, 4],
    stride: [2, 2, 2],
    padding: [1, 1, 1],
    transposed: true,
  },
  { name: 'tf32', input: [1, 9, 12, 5, 16], out: 24, ...dense, precision: 'tf32' },
  { name: 'fp32', input: [1, 9, 12, 5, 8], out: 24, ...dense, precision: 'fp32' },
]

/** Casts a dense tensor to an activation of this name. */
const cast = (name: string, value: Plain): Call => ({
  operation: 'cast',
  inputs: { x: { ...value, name: `${name}.dense` } },
  outputs: { y: { name, shape: value.shape } },
})

/** A convolution and its gradients, and what float64 says they are. */
function computed(problem: Problem) {
  const { input, out, kernel, stride, padding, transposed } = problem
  const attributes = { stride, padding }
  const x = integers(input, 1)
  const skip = problem.skip ? integers([...input.slice(0, 4), problem.skip], 2) : undefined
  const weight = integers(transposed ? [input[4], out, ...kernel] : [out, input[4] + (problem.skip ?? 0), ...kernel], 3)
  const bias = integers([out], 4)
  const y = transposed
    ? convTranspose3d(x, weight, bias, stride, padding)
    : conv3d(x, skip, weight, bias, stride, padding)
  const dy = integers(y.shape, 5)
  const gradients = transposed
    ? convTranspose3dGrad(x, weight, dy, stride, padding)
    : conv3dGrad(x, skip, weight, dy, stride, padding)
  const operation = transposed ? 'conv_transpose3d' : 'conv3d'
  const inputs = { x: 'xh', ...(skip && { skip: 'skiph' }), weight }
  const calls: Call[] = [
    cast('xh', x),
    ...(skip ? [cast('skiph', skip)] : []),
    cast('dyh', dy),
    { operation, inputs: { ...inputs, bias }, outputs: { y: { name: 'yh', shape: y.shape } }, attributes },
    kept('yh', y.shape, 'y'),
    {
      operation: `${operation}_grad`,
      inputs: { ...inputs, dy: 'dyh' },
      outputs: {
        dx: { name: 'dxh', shape: x.shape },
        ...(skip && { dskip: { name: 'dskiph', shape: skip.shape } }),
        dweight: weight.shape,
        dbias: bias.shape,
      },
      attributes,
    },
    kept('dxh', x.shape, 'dx'),
    ...(skip ? [kept('dskiph', skip.shape, 'dskip')] : []),
  ]
  const stored = problem.precision ? (value: Plain) => value : bfloat16
  const expected: Record<string, Plain> = { y: stored(y), dx: stored(gradients.dx!), dweight: gradients.dweight! }
  if (skip) expected.dskip = stored((gradients as ReturnType<typeof conv3dGrad>).dskip!)
  return { calls, expected }
}

const open = (precision: Precision = 'bf16', tiles?: string): Engine =>
  openEngine({ device: opened!.device, precision, tiles })

describe.skipIf(!opened)(`tile shapes on ${opened?.device}`, () => {
  // Small whole numbers and float32 sums: every order gives the exact sum, which is rounded once where it is stored.
  test.each(problems)('every possible choice gives the exact result: $name', async (problem) => {
    const { calls, expected } = computed(problem)
    const usual = open(problem.precision)
    await runCalls(usual, calls)
    const requests = usual.tuner().requests()
    expect(requests.length).toBeGreaterThanOrEqual(3)
    for (const { possible, chosen } of requests) expect(possible).toContainEqual(chosen)
    const rounds = Math.max(...requests.map(({ possible }) => possible.length))
    expect(rounds).toBeGreaterThan(1)
    for (let round = 0; round < rounds; round++) {
      const choice = ({ possible }: TileRequest) => possible[round % possible.length]!
      await write(Object.fromEntries(requests.map((request) => [request.key, choice(request)])))
      const engine = open(problem.precision, path)
      const results = await runCalls(engine, calls)
      expect(
        engine
          .tuner()
          .requests()
          .map(({ chosen }) => chosen),
      ).toEqual(requests.map(choice))
      for (const [role, { data }] of Object.entries(expected)) expect(results[role]!.data, role).toEqual(data)
    }
  })

  test('the tuner tells that a choice gives the same, and refuses one that is impossible', async () => {
    const engine = open()
    await runCalls(engine, computed(problems[0]!).calls)
    const tuner = engine.tuner()
    for (const { key, possible } of tuner.requests()) {
      tuner.begin(key)
      for (const choice of possible) {
        const { seconds, error, tolerance } = tuner.trial(choice, 2)
        expect(seconds).toHaveLength(2)
        expect(error).toBeLessThanOrEqual(tolerance)
      }
      expect(() => tuner.trial({ way: 'one-channel', columns: 128, splits: 1 }, 1)).toThrow(
        expect.objectContaining({ code: 'BAD_FILE' }),
      )
      tuner.end()
    }
    expect(() => tuner.begin('sm_90 bf16 convolution of nothing')).toThrow(expect.objectContaining({ code: 'NATIVE' }))
  })

  test('a table with what the shape or the card cannot do is refused, and never run', async () => {
    const { calls } = computed(problems[3]!)
    const engine = open()
    await runCalls(engine, calls)
    const requests = engine.tuner().requests()
    const refused = async (key: string, choice: TileChoice) => {
      await write({ [key]: choice })
      await expect(runCalls(open('bf16', path), calls)).rejects.toMatchObject({
        code: 'BAD_FILE',
        message: expect.stringContaining(key),
      })
    }
    const keyOf = (kind: string) => requests.map(({ key }) => key).find((key) => key.includes(kind))!
    await refused(keyOf('convolution'), { way: 'bricks', columns: 64, splits: 1 })
    await refused(keyOf('convolution'), { way: 'runs', columns: 64, splits: 2 })
    await refused(keyOf('weight gradient'), { way: 'runs', columns: 16, splits: 1 })
    // More parts than there are points to give them.
    await refused(keyOf('weight gradient'), { way: 'runs', columns: 32, splits: 60_000 })
    // Of other cards and shapes: nobody asks.
    await write({ 'sm_80 bf16 convolution of another': { way: 'bricks', columns: 64, splits: 1 } })
    await runCalls(open('bf16', path), calls)
  })
})

describe('tables of tiles', () => {
  const key = 'sm_90 bf16 convolution 1 x 8x8x8 x 32 to 8x8x8 x 32'
  const good = { format: 'semgen-native tiles', version: 1, tuned: [], tiles: { [key]: { way: 'runs', columns: 64 } } }

  test.each([
    ['no JSON', '{'],
    ['another format', JSON.stringify({ ...good, format: 'other' })],
    ['another version', JSON.stringify({ ...good, version: 2 })],
    ['a way that is none', JSON.stringify({ ...good, tiles: { [key]: { way: 'spirals', columns: 64 } } })],
    ['columns that no kernel has', JSON.stringify({ ...good, tiles: { [key]: { way: 'runs', columns: 48 } } })],
    ['no splits', JSON.stringify({ ...good, tiles: { [key]: { way: 'runs', columns: 64, splits: 0 } } })],
    ['a shape that is none', JSON.stringify({ ...good, tiles: { __x__: { way: 'runs', columns: 64 } } })],
  ])('are refused: %s', (_, content) => {
    writeFileSync(path, content)
    expect(() => readTiles(path)).toThrow(expect.objectContaining({ code: 'BAD_FILE' }))
  })

  test('have a digest of their choices alone', async () => {
    writeFileSync(path, JSON.stringify(good))
    const { digest } = readTiles(path)
    await write({ [key]: { way: 'runs', columns: 64, splits: 1 } })
    expect(readTiles(path).digest).toBe(digest)
    await write({ [key]: { way: 'runs', columns: 32, splits: 1 } })
    expect(readTiles(path).digest).not.toBe(digest)
  })

  test('are not there for the CPU, and have to exist', async () => {
    await write({})
    expect(() => openEngine({ device: 'cpu', tiles: path })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
    expect(() => openEngine({ device: 'cpu' }).tuner()).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
    expect(() => readTiles(join(folder, 'none.json'))).toThrow(expect.objectContaining({ code: 'IO' }))
  })
})
