import type { Engine, Tensor, TensorId } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { Random } from '../random.js'
import type { Graph, Value } from './graph.js'
import {
  convUnit,
  type DecoderMode,
  doubling,
  globalAveragePool,
  linear,
  maxPool,
  type NormMode,
  type Parameters,
  pointwise,
  upUnit,
} from './layers.js'
import { checkShape, hasHead, levelName, type NetworkShape, stateLayout, type TensorLayout } from './shape.js'

/** A network's parameters and statistics on an engine, by published key. */
export class Network {
  readonly engine: Engine
  readonly shape: NetworkShape
  /** The state dict in published order. num_batches_tracked are i32 [1]. */
  readonly tensors: ReadonlyMap<string, Tensor>
  /** Keys that the optimizer moves. */
  readonly trainable: readonly string[]
  /** Levels, the finest first, whose inner activations a training step computes again instead of keeping them. */
  readonly recompute: number

  /**
   * Initialised as PyTorch's defaults, each tensor from its own random stream (seed, key).
   * @throws SemgenError BAD_OPTION for a shape that cannot be
   */
  constructor(engine: Engine, shape: NetworkShape, seed: number, recompute = 0) {
    checkShape(shape)
    this.engine = engine
    this.shape = shape
    this.recompute = recompute
    const layout = stateLayout(shape)
    this.tensors = new Map(
      layout.map((entry) => [entry.key, engine.tensor(entry.shape, entry.dtype).fill(initial(entry, seed))]),
    )
    this.trainable = layout.filter((entry) => entry.trainable).map((entry) => entry.key)
  }

  /** A copy of every tensor. */
  save(): Map<string, Float32Array | Int32Array> {
    return new Map([...this.tensors].map(([key, tensor]) => [key, tensor.read<Float32Array | Int32Array>()]))
  }

  /** Replaces every tensor. @throws SemgenError BAD_CHECKPOINT when one is missing or has another size; then none is */
  load(values: ReadonlyMap<string, Float32Array | Int32Array>): void {
    for (const [key, tensor] of this.tensors) {
      const value = values.get(key)
      if (!value) throw new SemgenError('BAD_CHECKPOINT', `The weights have no tensor ${key}.`)
      if (value.length !== tensor.length)
        throw new SemgenError(
          'BAD_CHECKPOINT',
          `${key} has ${value.length} elements in the weights, and ${tensor.length} (${tensor.shape.join(' x ')}) in this network.`,
        )
    }
    for (const [key, tensor] of this.tensors) tensor.write(values.get(key)!)
  }
}

/** What a forward pass records. Logits are before any sigmoid or softmax. */
export interface Recorded {
  /** [N, x, y, z, latent] */
  readonly bottleneck: Value
  /** [N, X, Y, Z, outputChannels], where the decoder was asked for */
  readonly restored?: Value
  /** [N, classes], where the head was asked for */
  readonly logits?: Value
}

export interface Parts {
  readonly decoder: boolean
  readonly head: boolean
  readonly norm: NormMode
  readonly decoderMode: DecoderMode
  /** As Network.recompute; 0 where there is no gradient. */
  readonly recompute: number
}

/** Records a forward pass of the parts that are asked for. */
export function recordForward(graph: Graph, shape: NetworkShape, p: Parameters, input: Value, parts: Parts): Recorded {
  const { norm } = parts
  const skips: Value[] = []
  // Running statistics move once, however often a level is computed.
  const computed = (level: number, build: (norm: NormMode) => Value) =>
    level < parts.recompute
      ? graph.recomputed((again) => build(again ? { ...norm, update: false } : norm))
      : build(norm)
  let x = input
  for (let level = 0; level < shape.depth; level++) {
    const prefix = `down_tr${levelName(level)}`
    const from = x
    x = computed(level, (mode) => {
      const inner = convUnit(graph, p, `${prefix}.ops.0`, mode, from)
      return convUnit(graph, p, `${prefix}.ops.1`, mode, inner)
    })
    if (level === shape.depth - 1) break
    skips.push(x)
    x = maxPool(graph, x)
  }
  const bottleneck = x
  const result: { -readonly [key in keyof Recorded]: Recorded[key] } = { bottleneck }
  if (parts.head) {
    if (hasHead(shape)) {
      const features = convUnit(graph, p, 'clc_out', norm, bottleneck)
      result.logits = linear(graph, p, 'clc_out.fc1', globalAveragePool(graph, features))
    } else {
      result.logits = linear(graph, p, 'fc', globalAveragePool(graph, bottleneck))
    }
  }
  if (parts.decoder) {
    for (let level = shape.depth - 2; level >= 0; level--) {
      const prefix = `up_tr${levelName(level)}`
      const from = x
      x = computed(level, (mode) => {
        const inner = shape.skips
          ? upUnit(graph, p, prefix, mode, parts.decoderMode, from, skips[level]!)
          : convUnit(graph, p, `${prefix}.ops.0`, mode, doubling(graph, p, `${prefix}.up_conv`, from))
        return convUnit(graph, p, `${prefix}.ops.1`, mode, inner)
      })
    }
    result.restored = pointwise(graph, p, 'out_tr.final_conv', x)
  }
  return result
}

/** The parameters of a network in one graph. Those that `trained` says get gradients; the others are constants. */
export class NetworkParameters implements Parameters {
  /** Gradients of trained parameters, by key. */
  readonly gradients = new Map<string, TensorId>()
  readonly #graph: Graph
  readonly #network: Network
  readonly #trained: (key: string) => boolean

  constructor(graph: Graph, network: Network, trained: (key: string) => boolean) {
    this.#graph = graph
    this.#network = network
    this.#trained = trained
  }

  get(key: string): Value {
    return this.#graph.bind(this.#tensor(key), this.#trained(key))
  }

  gradient(key: string): TensorId {
    const id = this.#graph.program.activation(this.#tensor(key).shape, 'f32')
    if (this.#trained(key)) this.gradients.set(key, id)
    return id
  }

  #tensor(key: string): Tensor {
    const tensor = this.#network.tensors.get(key)
    if (!tensor) throw new SemgenError('NATIVE', `The network has no parameter ${key}.`)
    return tensor
  }
}

function initial(entry: TensorLayout, seed: number): number | Float32Array {
  const { initialisation } = entry
  if (initialisation.rule === 'constant') return initialisation.value
  const bound = 1 / Math.sqrt(initialisation.fanIn)
  const random = new Random(seed, `initialisation/${entry.key}`)
  const values = new Float32Array(entry.shape.reduce((product, extent) => product * extent, 1))
  for (let i = 0; i < values.length; i++) values[i] = random.uniform(-bound, bound)
  return values
}
