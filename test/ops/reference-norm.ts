import type { Plain } from './harness.js'
import { channelSums } from './reference.js'

/** Batch normalisation and ReLU in float64, channels innermost. */
export interface Norm {
  y: Plain
  mean: Float64Array
  /** Biased. */
  variance: Float64Array
  /** dz, dgamma, dbeta for a dy. */
  backward(dy: Plain): { dz: Plain; dgamma: Float32Array; dbeta: Float32Array }
}

/** Statistics of z, or those given. */
export function normRelu(
  z: Plain,
  gamma: Plain,
  beta: Plain,
  epsilon: number,
  given?: { mean: ArrayLike<number>; variance: ArrayLike<number> },
): Norm {
  const channels = z.shape.at(-1)!
  const samples = z.data.length / channels
  const mean = new Float64Array(channels)
  const variance = new Float64Array(channels)
  if (given) {
    mean.set(given.mean)
    variance.set(given.variance)
  } else {
    for (let i = 0; i < z.data.length; i++) mean[i % channels]! += z.data[i]! / samples
    for (let i = 0; i < z.data.length; i++) variance[i % channels]! += (z.data[i]! - mean[i % channels]!) ** 2 / samples
  }
  const hat = Float64Array.from(
    z.data,
    (value, i) => (value - mean[i % channels]!) / Math.sqrt(variance[i % channels]! + epsilon),
  )
  const before = hat.map((value, i) => gamma.data[i % channels]! * value + beta.data[i % channels]!)
  return {
    y: { shape: z.shape, data: Float32Array.from(before, (value) => Math.max(value, 0)) },
    mean,
    variance,
    backward(dy) {
      const through = Float64Array.from(dy.data, (value, i) => (before[i]! > 0 ? value : 0))
      const dbeta = new Float64Array(channels)
      const dgamma = new Float64Array(channels)
      for (let i = 0; i < through.length; i++) {
        dbeta[i % channels]! += through[i]!
        dgamma[i % channels]! += through[i]! * hat[i]!
      }
      const dz = through.map((value, i) => {
        const c = i % channels
        const centred = given ? value : value - dbeta[c]! / samples - (hat[i]! * dgamma[c]!) / samples
        return (gamma.data[c]! / Math.sqrt(variance[c]! + epsilon)) * centred
      })
      return {
        dz: { shape: z.shape, data: Float32Array.from(dz) },
        dgamma: Float32Array.from(dgamma),
        dbeta: Float32Array.from(dbeta),
      }
    },
  }
}

/** What a bias before the norm gets: nothing with batch statistics, the sums of dz with running ones. */
export const biasGradient = (dz: Plain, statistics: string): Float32Array =>
  statistics === 'batch' ? new Float32Array(dz.shape.at(-1)!) : channelSums(dz)
