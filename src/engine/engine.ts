import { availableParallelism } from 'node:os'
import { reason, SemgenError, shown } from '../errors.js'
import { containerLimit, freeHostMemory } from '../memory.js'
import { addon, type EngineName, engineNames, isBuilt } from './addon.js'
import type {
  Attributes,
  EngineAbout,
  NativeEngine,
  NativeProgram,
  NativeTensor,
  Plan,
  Roles,
  TensorId,
  TileTuner,
} from './engine-addon.js'
import { readTiles, type TileTable } from './tiles.js'

export type Device = 'auto' | EngineName
/**
 * What activations are stored as, and how they are multiplied: float32 exactly; float32 on a card's tensor cores, which
 * round factors to tf32; or bfloat16. Sums and parameters are always float32.
 */
export type Precision = 'fp32' | 'tf32' | 'bf16'

export interface EngineOptions {
  /** `auto` (default) takes the fastest engine that this machine can run. */
  device?: Device | undefined
  /** Default `fp32` on the CPU, `bf16` on a card and in the simulator. */
  precision?: Precision | undefined
  /** Threads of the CPU engine; by default all that this process may use. */
  threads?: number | undefined
  /** Which card of several, from 0. */
  gpu?: number | undefined
  /** tiles.json that `bench tune` wrote, for cards: by default an engine chooses tile shapes by itself. */
  tiles?: string | undefined
}

/**
 * Opens an engine.
 * @throws SemgenError NO_DEVICE when the device asked for is not here, saying why; BAD_OPTION for other options; IO and
 *   BAD_FILE for the table of tiles
 */
export function openEngine(options: EngineOptions = {}): Engine {
  const { device = 'auto', threads = availableParallelism(), gpu = 0 } = options
  if (!['auto', ...engineNames].includes(device))
    throw new SemgenError('BAD_OPTION', `--device takes auto, cpu, cuda or sim, not ${shown(device)}.`)
  const engine = device === 'auto' ? fastest() : device
  const { precision = engine === 'cpu' ? 'fp32' : 'bf16' } = options
  if (!['fp32', 'tf32', 'bf16'].includes(precision))
    throw new SemgenError('BAD_OPTION', `--precision takes fp32, tf32 or bf16, not ${shown(precision)}.`)
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new SemgenError('BAD_OPTION', `--threads takes a whole number from 1 to 1024, not ${shown(threads)}.`)
  if (!Number.isInteger(gpu) || gpu < 0 || gpu > 1024)
    throw new SemgenError('BAD_OPTION', `--gpu takes the number of a card, from 0, not ${shown(gpu)}.`)
  const { about } = addon(engine)
  if (about.unavailable !== undefined)
    throw new SemgenError('NO_DEVICE', `--device ${engine} cannot be had here: ${about.unavailable}.`)
  if (precision === 'bf16' && !about.bf16)
    throw new SemgenError(
      'NO_DEVICE',
      `--precision bf16 needs a CPU with AVX-512 BF16 or AMX, and this one computes with ${about.instructions}: use fp32.`,
    )
  if (precision === 'tf32' && engine === 'cpu')
    throw new SemgenError(
      'BAD_OPTION',
      '--precision tf32 is for cards (--device cuda): the CPU engine takes fp32 or bf16.',
    )
  if (options.tiles !== undefined && engine === 'cpu')
    throw new SemgenError('BAD_OPTION', `--tiles is for cards: on the CPU, ${libraryChooses}.`)
  return new Engine(engine, precision, threads, gpu, options.tiles === undefined ? undefined : readTiles(options.tiles))
}

/** Why the CPU engine takes no table of tiles. */
const libraryChooses = 'oneDNN chooses by itself how it computes'

/**
 * CUDA where its addon was built and finds a card, else the CPU, with a warning where the addon is there: who built it has
 * a card in mind. The simulator is for tests: it is never chosen.
 */
function fastest(): EngineName {
  if (!isBuilt('cuda')) return 'cpu'
  let why: string | undefined
  try {
    why = addon('cuda').about.unavailable
  } catch (error) {
    why = reason(error)
  }
  if (why === undefined) return 'cuda'
  process.emitWarning(`--device auto takes the CPU, since --device cuda cannot be had here: ${why.replace(/\.$/, '')}.`)
  return 'cpu'
}

/** A compute device with its own thread(s). Tensors and programs belong to one engine. */
export class Engine {
  readonly device: EngineName
  readonly precision: Precision
  readonly threads: number
  /** What its convolutions take instead of what it would choose. */
  readonly tiles: TileTable | undefined
  /** @internal */
  readonly native: NativeEngine

  constructor(device: EngineName, precision: Precision, threads: number, gpu = 0, tiles?: TileTable) {
    this.device = device
    this.precision = precision
    this.threads = threads
    this.tiles = tiles
    this.native = new (addon(device).Engine)({
      threads,
      gpu,
      hostMemory: containerLimit() ?? 0,
      tf32: precision === 'tf32',
      ...(tiles && { tiles: tiles.choices }),
    })
  }

  get about(): EngineAbout {
    return addon(this.device).about
  }

  /** What it computes on: "AVX-512 BF16", "NVIDIA H200, compute capability 9.0". */
  get processor(): string {
    return this.native.processor()
  }

  /** Bytes that tensors and programs may still take: of the card, or of the machine or container. */
  freeMemory(): number {
    return this.native.freeBytes() || freeHostMemory()
  }

  /** A zero-filled tensor that outlives runs. */
  tensor(shape: readonly number[], dtype: 'f32' | 'i32' = 'f32'): Tensor {
    return new Tensor(this, shape, dtype)
  }

  program(): Program {
    return new Program(this)
  }

  /**
   * Tries the tile shapes of what its programs compiled. Not while one of them runs.
   * @throws SemgenError UNSUPPORTED on the CPU
   */
  tuner(): TileTuner {
    if (this.device === 'cpu')
      throw new SemgenError(
        'UNSUPPORTED',
        `Tile shapes are tuned on a card (--device cuda): on the CPU, ${libraryChooses}.`,
      )
    return new (addon(this.device).TileTuner)(this.native)
  }

  /**
   * The `k` points nearest to each query by Euclidean distance, exactly; nearest first, ties by lower index.
   * @param queries [Q, width], row after row
   * @param points [P, width], P at least k
   */
  async nearest(
    queries: Float32Array,
    points: Float32Array,
    width: number,
    k: number,
  ): Promise<{ indices: Int32Array; distances: Float32Array }> {
    const rows = queries.length / width
    const program = this.program()
    const from = this.tensor([rows, width]).fill(queries)
    const among = this.tensor([points.length / width, width]).fill(points)
    const indices = this.tensor([rows, k], 'i32')
    const distances = this.tensor([rows, k])
    program.record(
      'nearest',
      { queries: program.bind(from), points: program.bind(among) },
      { indices: program.bind(indices), distances: program.bind(distances) },
    )
    await program.run()
    program.dispose()
    return { indices: indices.read() as Int32Array, distances: distances.read() as Float32Array }
  }
}

/** Dense memory that programs read and write between runs: parameters, moments, inputs, results. */
export class Tensor {
  readonly shape: readonly number[]
  readonly dtype: 'f32' | 'i32'
  /** How many elements. */
  readonly length: number
  /** @internal */
  readonly native: NativeTensor

  constructor(engine: Engine, shape: readonly number[], dtype: 'f32' | 'i32') {
    this.shape = shape
    this.dtype = dtype
    this.length = shape.reduce((product, extent) => product * extent, 1)
    this.native = new (addon(engine.device).Tensor)(engine.native, shape, dtype)
  }

  /** A copy of the elements, or the elements copied into `into`. Not while a program that writes them runs. */
  read<T extends Float32Array | Int32Array = Float32Array>(into?: T): T {
    const target = into ?? (this.dtype === 'i32' ? new Int32Array(this.length) : new Float32Array(this.length))
    this.native.read(target)
    return target as T
  }

  /** Replaces the elements, by those of an array or of a tensor of the same engine. Not while a program uses either. */
  write(from: Float32Array | Int32Array | Tensor): void {
    if (from instanceof Tensor) this.native.copy(from.native)
    else this.native.write(from)
  }

  /** Replaces the elements and returns the tensor. */
  fill(from: Float32Array | Int32Array | number): this {
    if (typeof from !== 'number') this.write(from)
    else
      this.write(
        this.dtype === 'i32' ? new Int32Array(this.length).fill(from) : new Float32Array(this.length).fill(from),
      )
    return this
  }
}

/** Operations recorded once (engine/ops.h lists them), compiled at the first run, and run many times by one call each. */
export class Program {
  readonly engine: Engine
  readonly #native: NativeProgram
  #plan: Plan | undefined

  constructor(engine: Engine) {
    this.engine = engine
    this.#native = new (addon(engine.device).Program)(engine.native)
  }

  /** A tensor that lives within a run; `activation` takes the engine's precision. */
  activation(shape: readonly number[], dtype: 'activation' | 'f32' | 'i32' = 'activation'): TensorId {
    const stored = dtype === 'activation' ? (this.engine.precision === 'bf16' ? 'bf16' : 'f32') : dtype
    return this.#native.activation(shape, stored)
  }

  /** A tensor whose content only the engine understands. */
  opaque(): TensorId {
    return this.#native.opaque()
  }

  bind(tensor: Tensor): TensorId {
    return this.#native.bind(tensor.native)
  }

  record(operation: string, inputs: Roles, outputs: Roles, attributes: Attributes = {}): void {
    this.#native.record(operation, inputs, outputs, attributes)
  }

  /** Chooses kernels and allocates memory; at most once. */
  compile(): Plan {
    this.#plan ??= this.#native.compile(true)
    return this.#plan
  }

  /** What `compile` would give, without allocating anything. The program cannot be run afterwards. */
  foresee(): Plan {
    this.#plan ??= this.#native.compile(false)
    return this.#plan
  }

  /** Runs every operation in order, off the JavaScript thread. */
  async run(): Promise<void> {
    this.compile()
    await this.#native.run(false)
  }

  /** Runs and tells each operation's seconds, in the plan's order. */
  async profile(): Promise<Float64Array> {
    this.compile()
    return (await this.#native.run(true))!
  }

  /** Stops the run under way between two operations: its promise rejects with code ABORTED. */
  abort(): void {
    this.#native.abort()
  }

  /** Gives the memory back; the program cannot be used after. */
  dispose(): void {
    this.#native.release()
  }
}
