import type { TileChoice } from './tiles.js'

/** The part of every addon that computes (binding/engine.cpp). Only src/engine touches it. */
export interface EngineAddon {
  readonly Engine: new (options: {
    threads: number
    gpu: number
    /** Bytes that this process may take; 0 where it is all that the machine has. */
    hostMemory: number
    tf32: boolean
    tiles?: Readonly<Record<string, TileChoice>>
  }) => NativeEngine
  readonly Tensor: new (engine: NativeEngine, shape: readonly number[], dtype: 'f32' | 'i32') => NativeTensor
  readonly Program: new (engine: NativeEngine) => NativeProgram
  readonly TileTuner: new (engine: NativeEngine) => TileTuner
  readonly about: EngineAbout
}

export interface EngineAbout {
  /** The library behind the engine: "oneDNN 2.6.3". */
  readonly library: string
  /** The instruction set it runs on. */
  readonly instructions: string
  /** Whether bfloat16 activations are faster than float32 here. */
  readonly bf16: boolean
  /** Why the engine cannot be opened on this machine: no driver, no card. */
  readonly unavailable?: string
}

export interface NativeEngine {
  /** Bytes of the device's memory that nobody uses now; 0 where it is the host's. */
  freeBytes(): number
  /** What it computes on: an instruction set, or a card. */
  processor(): string
}

export interface NativeTensor {
  read(into: Float32Array | Int32Array): void
  write(from: Float32Array | Int32Array): void
  copy(from: NativeTensor): void
}

/** Tries what an engine can choose of the convolutions that it compiled. */
export interface TileTuner {
  requests(): TileRequest[]
  /** Makes inputs for a request, and computes it as chosen. */
  begin(key: string): void
  /** Computes the same as `choice` says so many times. Throws BAD_FILE where that is impossible. */
  trial(choice: TileChoice, runs: number): TileTrial
  /** Gives the memory back. */
  end(): void
}

/** A convolution or weight gradient that the engine compiled. */
export interface TileRequest {
  /** Architecture, arithmetic and shape in words. */
  readonly key: string
  /** So far, in all programs. */
  readonly uses: number
  readonly chosen: TileChoice
  readonly possible: readonly TileChoice[]
}

export interface TileTrial {
  /** Of each run. */
  readonly seconds: readonly number[]
  /** Root mean square of the differences from the chosen way, as a share of the values'. */
  readonly error: number
  /** What another order of its sums can come to. */
  readonly tolerance: number
}

/** A tensor of one program, by number. */
export type TensorId = number

export type Roles = Record<string, TensorId | readonly TensorId[] | undefined>
export type Attributes = Record<string, number | boolean | string | readonly number[]>

export interface NativeProgram {
  activation(shape: readonly number[], dtype: 'f32' | 'bf16' | 'i32'): TensorId
  opaque(): TensorId
  bind(tensor: NativeTensor): TensorId
  record(operation: string, inputs: Roles, outputs: Roles, attributes: Attributes): void
  compile(allocate: boolean): Plan
  run(profile: boolean): Promise<Float64Array | undefined>
  abort(): void
  release(): void
}

/** What a compiled program uses. */
export interface Plan {
  /** Activations and scratch, in bytes, shared by lifetimes. */
  readonly arenaBytes: number
  /** Tensors that outlive a run, in bytes. */
  readonly persistentBytes: number
  /** Layout changes of activations in a run. */
  readonly reorders: number
  /** In the order they run in. */
  readonly operations: readonly PlannedOperation[]
}

/** One operation of a compiled program. */
export interface PlannedOperation {
  readonly operation: string
  /** What the engine chose for it. */
  readonly detail: string
  /** The shapes that tell it from others of its name. */
  readonly shapes: string
  /** Floating-point operations as the contract writes it, multiply-adds counted as two; 0 where memory bounds it. */
  readonly flops: number
  /** Each tensor read or written once, as the engine stores it. */
  readonly bytes: number
}
