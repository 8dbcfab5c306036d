/** Optimizers written out in float64, as PyTorch documents torch.optim.Adam and torch.optim.SGD. */

export interface AdamState {
  parameters: Float64Array[]
  moments1: Float64Array[]
  moments2: Float64Array[]
  step: number
}

/** hyper = [learning rate, beta1, beta2, epsilon, weight decay] */
export function adam(state: AdamState, gradients: readonly Float64Array[], hyper: ArrayLike<number>): void {
  const [rate, beta1, beta2, epsilon, decay] = Array.from(hyper) as [number, number, number, number, number]
  state.step += 1
  for (const [i, gradient] of gradients.entries()) {
    const [p, m, v] = [state.parameters[i]!, state.moments1[i]!, state.moments2[i]!]
    for (let k = 0; k < p.length; k++) {
      const g = gradient[k]! + decay * p[k]!
      m[k] = beta1 * m[k]! + (1 - beta1) * g
      v[k] = beta2 * v[k]! + (1 - beta2) * g * g
      const mean = m[k]! / (1 - beta1 ** state.step)
      const variance = v[k]! / (1 - beta2 ** state.step)
      p[k]! -= (rate * mean) / (Math.sqrt(variance) + epsilon)
    }
  }
}

export interface SgdState {
  parameters: Float64Array[]
  /** Undefined before the first step, which starts from the gradient itself. */
  velocities: (Float64Array | undefined)[]
}

/** hyper = [learning rate, momentum, weight decay] */
export function sgd(state: SgdState, gradients: readonly Float64Array[], hyper: ArrayLike<number>): void {
  const [rate, momentum, decay] = Array.from(hyper) as [number, number, number]
  for (const [i, gradient] of gradients.entries()) {
    const p = state.parameters[i]!
    const before = state.velocities[i]
    const velocity = gradient.map((g, k) => (before ? momentum * before[k]! : 0) + g + decay * p[k]!)
    for (let k = 0; k < p.length; k++) p[k]! -= rate * velocity[k]!
    state.velocities[i] = velocity
  }
}
