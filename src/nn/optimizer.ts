import type { Program, Tensor, TensorId } from '../engine/index.js'
import type { Network } from './network.js'

export type OptimizerOptions =
  /** Kingma and Ba 2015, with L2 decay added to the gradient, as PyTorch's Adam. */
  | {
      readonly kind: 'adam'
      readonly beta1?: number
      readonly beta2?: number
      readonly epsilon?: number
      readonly weightDecay?: number
    }
  /** With momentum as PyTorch's SGD: velocity = momentum * velocity + gradient. */
  | { readonly kind: 'sgd'; readonly momentum?: number; readonly weightDecay?: number }

/** Records the update of every parameter that has a gradient, as one operation, and keeps its state. */
export class Optimizer {
  /** `exp_avg.<key>`, `exp_avg_sq.<key>` and `step`, or `momentum_buffer.<key>`. */
  readonly state: ReadonlyMap<string, Tensor>
  readonly #norm: Tensor
  readonly #hyper: Tensor
  readonly #values: Float32Array

  constructor(network: Network, program: Program, gradients: ReadonlyMap<string, TensorId>, options: OptimizerOptions) {
    const { engine } = network
    const keys = network.trainable.filter((key) => gradients.has(key))
    const state = new Map<string, Tensor>()
    const slots = (name: string) =>
      keys.map((key) => {
        const tensor = engine.tensor(network.tensors.get(key)!.shape)
        state.set(`${name}.${key}`, tensor)
        return program.bind(tensor)
      })
    const parameters = keys.map((key) => program.bind(network.tensors.get(key)!))
    this.#norm = engine.tensor([2])
    const norm = program.bind(this.#norm)
    const given = { parameters, gradients: keys.map((key) => gradients.get(key)!) }
    if (options.kind === 'adam') {
      const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options
      this.#values = Float32Array.of(0, beta1, beta2, epsilon, weightDecay)
      this.#hyper = engine.tensor([5])
      const step = engine.tensor([1])
      state.set('step', step)
      program.record(
        'adam',
        { ...given, hyper: program.bind(this.#hyper) },
        { moments1: slots('exp_avg'), moments2: slots('exp_avg_sq'), step: program.bind(step), norm },
      )
    } else {
      const { momentum = 0.9, weightDecay = 0 } = options
      this.#values = Float32Array.of(0, momentum, weightDecay)
      this.#hyper = engine.tensor([3])
      program.record(
        'sgd',
        { ...given, hyper: program.bind(this.#hyper) },
        { velocities: slots('momentum_buffer'), norm },
      )
    }
    this.state = state
  }

  /** Of the gradients that the last update took: their L2 norm over all parameters, and whether all were finite. */
  get gradients(): { readonly norm: number; readonly finite: boolean } {
    const [norm, finite] = this.#norm.read() as unknown as [number, number]
    return { norm, finite: finite === 1 }
  }

  setLearningRate(learningRate: number): void {
    this.#values[0] = learningRate
    this.#hyper.write(this.#values)
  }
}
