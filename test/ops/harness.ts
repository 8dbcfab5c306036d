import { addon, type EngineName, engineNames } from '../../src/engine/addon.js'
import { type Engine, openEngine, type Plan, type Precision } from '../../src/engine/index.js'
import { Random } from '../../src/random.js'

/** Runs one operation on one engine with given inputs, and gives back its outputs as plain arrays. */
export interface Call {
  operation: string
  /** Dense inputs: activations [N, X, Y, Z, C], weights as on disk; or the name of an earlier tensor. */
  inputs: Record<string, Plain | Plain[] | string>
  /** Shapes of the outputs; 'opaque' for what only the engine understands. */
  outputs: Record<string, readonly number[] | readonly (readonly number[])[] | 'opaque' | Named>
  attributes?: Record<string, number | boolean | string | readonly number[]>
}

/** An output that later operations know by a name of its own. */
export interface Named {
  name: string
  shape: readonly number[]
  /** A persistent float32 tensor that is given back; else an activation in the layout and precision of the engine. */
  kept?: boolean
}

export interface Plain {
  /** What later operations know it by; by default its first role. */
  name?: string
  shape: readonly number[]
  data: Float32Array | Int32Array
}

/**
 * Every engine that can be tested here, with activations of this precision: `cpu` always (bfloat16 where it computes with
 * it), `sim` where it is built, `cuda` where it is built and a card is found. SEMGEN_TEST_ENGINES=cpu,sim chooses.
 */
export function engines(precision: Precision = 'fp32'): Engine[] {
  const wanted = process.env.SEMGEN_TEST_ENGINES?.split(',')
  return engineNames
    .filter((device) => wanted?.includes(device) ?? true)
    .filter((device) => device === 'cpu' || usable(device))
    .filter((device) => precision !== 'tf32' || device !== 'cpu')
    .filter((device) => precision !== 'bf16' || addon(device).about.bf16)
    .map((device) => openEngine({ device, threads: 2, precision }))
}

function usable(device: EngineName): boolean {
  try {
    const { unavailable } = addon(device).about
    if (unavailable !== undefined) console.info(`skipped: nothing is tested on ${device}: ${unavailable}`)
    return unavailable === undefined
  } catch (error) {
    console.info(`skipped: nothing is tested on ${device}: ${(error as Error).message}`)
    return false
  }
}

/**
 * Runs operations one after the other in one program. A role stands for the same tensor in all of them, so outputs of
 * earlier ones are inputs of later ones. Gives back every tensor by role, inputs included: some are updated in place.
 * `planned` is shown what the engine made of them.
 */
export async function runCalls(
  engine: Engine,
  calls: Call[],
  planned: (plan: Plan) => void = () => {},
): Promise<Record<string, Plain>> {
  const program = engine.program()
  const known = new Map<string, number>()
  const results = new Map<string, ReturnType<Engine['tensor']>>()
  const bindPlain = (value: Plain) => {
    const tensor = engine.tensor(value.shape, value.data instanceof Int32Array ? 'i32' : 'f32')
    tensor.write(value.data)
    return { id: program.bind(tensor), tensor }
  }
  for (const { operation, inputs, outputs, attributes } of calls) {
    const read: Record<string, number | number[]> = {}
    for (const [role, value] of Object.entries(inputs)) {
      if (typeof value === 'string') read[role] = known.get(value)!
      else if (Array.isArray(value)) read[role] = value.map((one, i) => known.get(`${role}.${i}`) ?? bindPlain(one).id)
      else {
        const name = value.name ?? role
        if (!known.has(name)) {
          const { id, tensor } = bindPlain(value)
          known.set(name, id)
          results.set(name, tensor)
        }
        read[role] = known.get(name)!
      }
    }
    const written: Record<string, number | number[]> = {}
    for (const [role, shape] of Object.entries(outputs)) {
      if (shape === 'opaque') {
        written[role] = program.opaque()
        known.set(role, written[role] as number)
        continue
      }
      if ('name' in shape) {
        const kept = shape.kept ? engine.tensor(shape.shape) : undefined
        const id = kept ? program.bind(kept) : program.activation(shape.shape)
        if (kept) results.set(shape.name, kept)
        known.set(shape.name, id)
        written[role] = id
        continue
      }
      const shapes = (Array.isArray(shape[0]) ? shape : [shape]) as readonly (readonly number[])[]
      const ids = shapes.map((one, i) => {
        const tensor = engine.tensor(one, role === 'indices' || role === 'correct' ? 'i32' : 'f32')
        results.set(Array.isArray(shape[0]) ? `${role}.${i}` : role, tensor)
        return program.bind(tensor)
      })
      written[role] = Array.isArray(shape[0]) ? ids : ids[0]!
      if (!Array.isArray(shape[0])) known.set(role, ids[0]!)
    }
    program.record(operation, read, written, attributes)
  }
  planned(program.compile())
  await program.run()
  program.dispose()
  return Object.fromEntries([...results].map(([role, tensor]) => [role, { shape: tensor.shape, data: tensor.read() }]))
}

/** Rounded to bfloat16: to nearest, ties to even. */
export function bfloat16(value: Plain): Plain {
  const bits = new Uint32Array(Float32Array.from(value.data).buffer)
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) & 0xffff0000
  return { ...value, data: new Float32Array(bits.buffer) }
}

/** Small whole numbers, -3 to 3: sums of products are exact in float32, so results can be compared for equality. */
export function integers(shape: readonly number[], seed: number): Plain {
  const random = new Random(seed, 'test/integers')
  return { shape, data: Float32Array.from({ length: count(shape) }, () => random.integer(-3, 4)) }
}

/** Uniform in [-1, 1). */
export function uniform(shape: readonly number[], seed: number): Plain {
  const random = new Random(seed, 'test/uniform')
  return { shape, data: Float32Array.from({ length: count(shape) }, () => random.uniform(-1, 1)) }
}

/** A 1x1x1 convolution that copies `from` into an activation, in the layout that oneDNN chooses: often a padded one. */
export function passedThrough(from: Plain | string, shape: readonly number[], name: string): Call {
  const channels = shape[4]!
  const weight = { name: `${name}.weight`, shape: [channels, channels, 1, 1, 1], data: new Float32Array(channels ** 2) }
  for (let i = 0; i < channels; i++) weight.data[i * channels + i] = 1
  return {
    operation: 'conv3d',
    inputs: { x: typeof from === 'string' ? from : { ...from, name: `${name}.x` }, weight },
    outputs: { y: { name, shape } },
    attributes: { stride: [1, 1, 1], padding: [0, 0, 0] },
  }
}

/**
 * Leaves NaN where the activations of the program come to lie, so that what an operation ought to write and does not
 * (the lanes that pad a blocked layout) is seen by what reads it.
 */
export function poison(elements: number): Call {
  const x = { name: 'poison', shape: [elements], data: new Float32Array(elements).fill(Number.NaN) }
  return { operation: 'cast', inputs: { x }, outputs: { y: { name: 'poisoned', shape: [elements] } } }
}

/** Copies a tensor of any layout into a dense one that is given back by this name. */
export function kept(from: string, shape: readonly number[], name: string): Call {
  return { operation: 'cast', inputs: { x: from }, outputs: { y: { name, shape, kept: true } } }
}

export function count(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1)
}

/** Whether two arrays hold the same bits; for arrays too large for a matcher that prints their differences. */
export function sameBits(actual: Float32Array | Int32Array, expected: Float32Array | Int32Array): boolean {
  const bytes = (of: Float32Array | Int32Array) => Buffer.from(of.buffer, of.byteOffset, of.byteLength)
  return bytes(actual).equals(bytes(expected))
}

/** The largest difference, as a share of the largest expected value. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let difference = 0
  let scale = 0
  for (let i = 0; i < expected.length; i++) {
    const gap = Math.abs(actual[i]! - expected[i]!)
    if (!(gap <= difference)) difference = gap
    scale = Math.max(scale, Math.abs(expected[i]!))
  }
  return difference / (scale || 1)
}
