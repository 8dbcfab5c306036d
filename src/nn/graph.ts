import type { Program, Tensor, TensorId } from '../engine/index.js'

/** An activation or parameter while a program is recorded. */
export interface Value {
  readonly id: TensorId
  readonly shape: readonly number[]
  /** Whether the loss's gradient with respect to it is wanted. */
  readonly differentiable: boolean
}

type Attributes = Record<string, number | boolean | string | readonly number[]>
type Roles = Record<string, Value | TensorId | readonly TensorId[] | undefined>

/**
 * Records operations and, with them, how to record their gradients: reverse-mode differentiation at recording time.
 * Nothing is computed here. `backward` records the gradient operations, last operation first.
 */
export class Graph {
  readonly program: Program
  readonly #tape: (() => void)[] = []
  readonly #gradients = new Map<TensorId, TensorId>()

  constructor(program: Program) {
    this.program = program
  }

  /** A persistent tensor. */
  bind(tensor: Tensor, differentiable = false): Value {
    return { id: this.program.bind(tensor), shape: tensor.shape, differentiable }
  }

  /** A new activation, stored as the engine's precision says, or as float32. */
  activation(shape: readonly number[], differentiable: boolean, dtype: 'activation' | 'f32' = 'activation'): Value {
    return { id: this.program.activation(shape, dtype), shape, differentiable }
  }

  record(operation: string, inputs: Roles, outputs: Roles, attributes: Attributes = {}): void {
    this.program.record(operation, ids(inputs), ids(outputs), attributes)
  }

  /**
   * Says how the gradient of `output` flows back. `record` is called during backward, if `output` has a gradient, with
   * that gradient; it records an operation and contributes what that writes.
   */
  onBackward(output: Value, record: (dy: TensorId) => void): void {
    this.#tape.push(() => {
      const dy = this.#gradients.get(output.id)
      if (dy !== undefined) record(dy)
    })
  }

  /** A tensor for one contribution to a value's gradient, or undefined where none is wanted. */
  wanted(value: Value | undefined, dtype: 'activation' | 'f32' = 'activation'): TensorId | undefined {
    return value?.differentiable ? this.program.activation(value.shape, dtype) : undefined
  }

  /** Adds a contribution, once the operation that writes it is recorded. */
  contribute(value: Value | undefined, gradient: TensorId | undefined): void {
    if (value === undefined || gradient === undefined) return
    const before = this.#gradients.get(value.id)
    if (before === undefined) {
      this.#gradients.set(value.id, gradient)
      return
    }
    const sum = this.program.activation(value.shape)
    this.program.record('add', { a: before, b: gradient }, { y: sum })
    this.#gradients.set(value.id, sum)
  }

  /**
   * Records `build`, of whose activations only the result is kept: `backward` records it once more, before the gradients
   * that need the others. Trades time for memory (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost).
   * @param build records the same operations each time; `again` the second time
   */
  recomputed(build: (again: boolean) => Value): Value {
    const taped = this.#tape.length
    const result = build(false)
    this.#tape.length = taped
    this.onBackward(result, (dy) => {
      // What this records is taped, too, and comes next.
      this.#gradients.set(build(true).id, dy)
    })
    return result
  }

  /** Records every gradient operation. Losses have contributed their gradients already. */
  backward(): void {
    for (let step = this.#tape.pop(); step; step = this.#tape.pop()) step()
  }
}

function ids(roles: Roles): Record<string, TensorId | readonly TensorId[] | undefined> {
  return Object.fromEntries(Object.entries(roles).map(([role, value]) => [role, isValue(value) ? value.id : value]))
}

function isValue(value: Roles[string]): value is Value {
  return typeof value === 'object' && 'id' in value
}
