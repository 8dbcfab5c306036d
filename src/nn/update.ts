import type { Program, Tensor } from '../engine/index.js'
import type { Graph } from './graph.js'
import type { Network, NetworkParameters } from './network.js'
import { Optimizer, type OptimizerOptions } from './optimizer.js'

/** The second half of a training step, after the losses: gradients and the optimizer. */
export class Update {
  readonly #program: Program
  readonly #optimizer: Optimizer
  readonly #counters: readonly Tensor[]

  /** @param ran keys of the parts whose forward pass was recorded: their num_batches_tracked are counted up */
  constructor(network: Network, graph: Graph, parameters: NetworkParameters, options: OptimizerOptions, ran: RegExp) {
    this.#program = graph.program
    graph.backward()
    this.#optimizer = new Optimizer(network, this.#program, parameters.gradients, options)
    this.#counters = [...network.tensors]
      .filter(([key]) => key.endsWith('num_batches_tracked') && ran.test(key))
      .map(([, tensor]) => tensor)
  }

  /** Moments and step count, by name, to be saved and restored between runs. */
  get state(): ReadonlyMap<string, Tensor> {
    return this.#optimizer.state
  }

  /** Runs the whole step on what its inputs hold. */
  async run(learningRate: number): Promise<{ readonly gradientNorm: number; readonly finite: boolean }> {
    this.#optimizer.setLearningRate(learningRate)
    await this.#program.run()
    for (const counter of this.#counters) counter.write(counter.read<Int32Array>().map((count) => count + 1))
    const { norm, finite } = this.#optimizer.gradients
    return { gradientNorm: norm, finite }
  }

  /** As run, with each operation's seconds in the plan's order. */
  async profile(learningRate: number): Promise<Float64Array> {
    this.#optimizer.setLearningRate(learningRate)
    return this.#program.profile()
  }
}
