import type { Plan, Program, Tensor } from '../engine/index.js'
import { Graph, type Value } from './graph.js'
import { type NormMode, usualMomentum } from './layers.js'
import { type Network, NetworkParameters, recordForward } from './network.js'

/** What a fine-tuned network says of a batch. Statistics are those the network's `norm` says. */
export class PredictionStep {
  /** [N, X, Y, Z, channels] */
  readonly input: Tensor
  readonly #program: Program
  readonly #logits: Tensor

  constructor(network: Network, options: { readonly batch: number }) {
    const { engine, shape } = network
    this.#program = engine.program()
    const graph = new Graph(this.#program)
    const parameters = new NetworkParameters(graph, network, () => false)
    this.input = engine.tensor([options.batch, ...shape.patch, shape.inputChannels])
    const norm = { statistics: shape.norm, update: false, momentum: usualMomentum }
    const logits = recordLogits(graph, network, parameters, this.input, norm)
    this.#logits = engine.tensor(logits.shape)
    graph.record('cast', { x: logits }, { y: graph.bind(this.#logits) })
  }

  get plan(): Plan {
    return this.#program.compile()
  }

  /**
   * Logits, before softmax or sigmoid, for what `input` holds: a classifier's [N, classes], a segmentation's
   * [N, X, Y, Z, outputs].
   */
  async run(into?: Float32Array): Promise<Float32Array> {
    await this.#program.run()
    return this.#logits.read(into)
  }

  dispose(): void {
    this.#program.dispose()
  }
}

/** The logits of a classifier's head, or of a decoder's last layer. */
export function recordLogits(
  graph: Graph,
  network: Network,
  parameters: NetworkParameters,
  input: Tensor,
  norm: NormMode,
): Value {
  const head = network.shape.kind === 'classifier'
  const recompute = norm.update ? network.recompute : 0
  const parts = { decoder: !head, head, norm, decoderMode: 'auto' as const, recompute }
  const { logits, restored } = recordForward(graph, network.shape, parameters, graph.bind(input), parts)
  return head ? logits! : restored!
}
