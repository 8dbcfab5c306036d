import type { Plain } from './harness.js'

/** Sigmoid and the linear layer in float64. */

export function sigmoid(x: Plain): Float32Array {
  return x.data.map((value) => 1 / (1 + Math.exp(-value))) as Float32Array
}

/** dy times the derivative at the output y. */
export function sigmoidGrad(y: ArrayLike<number>, dy: Plain): Float32Array {
  return dy.data.map((value, i) => value * y[i]! * (1 - y[i]!)) as Float32Array
}

/** y[n, o] = sum_i x[n, i] weight[o, i] + bias[o] */
export function linear(x: Plain, weight: Plain, bias: Plain): Plain {
  const [rows, width] = x.shape as [number, number]
  const out = weight.shape[0]!
  const data = new Float32Array(rows * out)
  for (let n = 0; n < rows; n++)
    for (let o = 0; o < out; o++) {
      let sum = bias.data[o]!
      for (let i = 0; i < width; i++) sum += x.data[n * width + i]! * weight.data[o * width + i]!
      data[n * out + o] = sum
    }
  return { shape: [rows, out], data }
}

export function linearGrad(x: Plain, weight: Plain, dy: Plain) {
  const [rows, width] = x.shape as [number, number]
  const out = weight.shape[0]!
  const dx = new Float64Array(rows * width)
  const dweight = new Float64Array(out * width)
  const dbias = new Float64Array(out)
  for (let n = 0; n < rows; n++)
    for (let o = 0; o < out; o++) {
      const gradient = dy.data[n * out + o]!
      dbias[o]! += gradient
      for (let i = 0; i < width; i++) {
        dx[n * width + i]! += gradient * weight.data[o * width + i]!
        dweight[o * width + i]! += gradient * x.data[n * width + i]!
      }
    }
  return { dx: Float32Array.from(dx), dweight: Float32Array.from(dweight), dbias: Float32Array.from(dbias) }
}
