import type { Plain } from './harness.js'

/**
 * Operations written as plainly as possible, in float64: what every engine is compared with.
 * Activations [N, X, Y, Z, C], convolution weights (out, in, kx, ky, kz), transposed ones (in, out, kx, ky, kz).
 */

type Triple = readonly number[]

function concatenated(x: Plain, skip: Plain | undefined): Plain {
  if (!skip) return x
  const [first, second] = [x.shape[4]!, skip.shape[4]!]
  const voxels = x.data.length / first
  const data = new Float32Array(voxels * (first + second))
  for (let v = 0; v < voxels; v++) {
    data.set(x.data.subarray(v * first, (v + 1) * first), v * (first + second))
    data.set(skip.data.subarray(v * second, (v + 1) * second), v * (first + second) + first)
  }
  return { shape: [...x.shape.slice(0, 4), first + second], data }
}

/** Calls visit(output voxel, input voxel, tap) for every pair that a convolution of these extents joins, image by image. */
function forTaps(
  small: Triple,
  large: Triple,
  kernel: Triple,
  stride: Triple,
  padding: Triple,
  visit: (small: number, large: number, tap: number) => void,
): void {
  const [X, Y, Z] = small as [number, number, number]
  const [LX, LY, LZ] = large as [number, number, number]
  const [KX, KY, KZ] = kernel as [number, number, number]
  for (let x = 0; x < X; x++)
    for (let y = 0; y < Y; y++)
      for (let z = 0; z < Z; z++)
        for (let kx = 0; kx < KX; kx++)
          for (let ky = 0; ky < KY; ky++)
            for (let kz = 0; kz < KZ; kz++) {
              const [lx, ly, lz] = [
                x * stride[0]! - padding[0]! + kx,
                y * stride[1]! - padding[1]! + ky,
                z * stride[2]! - padding[2]! + kz,
              ]
              if (lx < 0 || ly < 0 || lz < 0 || lx >= LX || ly >= LY || lz >= LZ) continue
              visit((x * Y + y) * Z + z, (lx * LY + ly) * LZ + lz, (kx * KY + ky) * KZ + kz)
            }
}

/** y = conv(x with skip, weight) + bias; extents floor((in + 2 p - k) / s) + 1. */
export function conv3d(
  x: Plain,
  skip: Plain | undefined,
  weight: Plain,
  bias: Plain | undefined,
  stride: Triple,
  padding: Triple,
): Plain {
  const input = concatenated(x, skip)
  const [images, , , , channels] = input.shape as number[]
  const [out] = weight.shape as number[]
  const kernel = weight.shape.slice(2)
  const large = input.shape.slice(1, 4)
  const small = large.map((extent, i) => Math.floor((extent + 2 * padding[i]! - kernel[i]!) / stride[i]!) + 1)
  const taps = kernel.reduce((a, b) => a * b)
  const [smallVoxels, largeVoxels] = [small.reduce((a, b) => a * b), large.reduce((a, b) => a * b)]
  const y = new Float64Array(images! * smallVoxels * out!)
  if (bias) for (let i = 0; i < y.length; i++) y[i] = bias.data[i % out!]!
  for (let n = 0; n < images!; n++)
    forTaps(small, large, kernel, stride, padding, (to, from, tap) => {
      for (let o = 0; o < out!; o++) {
        let sum = 0
        for (let c = 0; c < channels!; c++)
          sum += weight.data[(o * channels! + c) * taps + tap]! * input.data[(n * largeVoxels + from) * channels! + c]!
        y[(n * smallVoxels + to) * out! + o]! += sum
      }
    })
  return { shape: [images!, ...small, out!], data: Float32Array.from(y) }
}

/** dx, dskip (with a skip), dweight, dbias of conv3d. */
export function conv3dGrad(
  x: Plain,
  skip: Plain | undefined,
  weight: Plain,
  dy: Plain,
  stride: Triple,
  padding: Triple,
): Record<string, Plain> {
  const input = concatenated(x, skip)
  const [images, , , , channels] = input.shape as number[]
  const [out] = weight.shape as number[]
  const kernel = weight.shape.slice(2)
  const [small, large] = [dy.shape.slice(1, 4), input.shape.slice(1, 4)]
  const taps = kernel.reduce((a, b) => a * b)
  const [smallVoxels, largeVoxels] = [small.reduce((a, b) => a * b), large.reduce((a, b) => a * b)]
  const dinput = new Float64Array(input.data.length)
  const dweight = new Float64Array(weight.data.length)
  for (let n = 0; n < images!; n++)
    forTaps(small, large, kernel, stride, padding, (to, from, tap) => {
      for (let o = 0; o < out!; o++) {
        const gradient = dy.data[(n * smallVoxels + to) * out! + o]!
        for (let c = 0; c < channels!; c++) {
          const w = (o * channels! + c) * taps + tap
          const i = (n * largeVoxels + from) * channels! + c
          dinput[i]! += gradient * weight.data[w]!
          dweight[w]! += gradient * input.data[i]!
        }
      }
    })
  const result: Record<string, Plain> = {
    dweight: { shape: weight.shape, data: Float32Array.from(dweight) },
    dbias: { shape: [out!], data: channelSums(dy) },
  }
  const first = x.shape[4]!
  const take = (from: number, width: number) =>
    Float32Array.from(
      { length: (dinput.length / channels!) * width },
      (_, i) => dinput[Math.floor(i / width) * channels! + from + (i % width)]!,
    )
  result.dx = { shape: x.shape, data: take(0, first) }
  if (skip) result.dskip = { shape: skip.shape, data: take(first, skip.shape[4]!) }
  return result
}

/** Extents (in - 1) s - 2 p + k. */
export function convTranspose3d(
  x: Plain,
  weight: Plain,
  bias: Plain | undefined,
  stride: Triple,
  padding: Triple,
): Plain {
  const [images, , , , channels] = x.shape as number[]
  const out = weight.shape[1]!
  const kernel = weight.shape.slice(2)
  const small = x.shape.slice(1, 4)
  const large = small.map((extent, i) => (extent - 1) * stride[i]! - 2 * padding[i]! + kernel[i]!)
  const taps = kernel.reduce((a, b) => a * b)
  const [smallVoxels, largeVoxels] = [small.reduce((a, b) => a * b), large.reduce((a, b) => a * b)]
  const y = new Float64Array(images! * largeVoxels * out)
  if (bias) for (let i = 0; i < y.length; i++) y[i] = bias.data[i % out]!
  for (let n = 0; n < images!; n++)
    forTaps(small, large, kernel, stride, padding, (from, to, tap) => {
      for (let c = 0; c < channels!; c++) {
        const value = x.data[(n * smallVoxels + from) * channels! + c]!
        for (let o = 0; o < out; o++)
          y[(n * largeVoxels + to) * out + o]! += value * weight.data[(c * out + o) * taps + tap]!
      }
    })
  return { shape: [images!, ...large, out], data: Float32Array.from(y) }
}

export function convTranspose3dGrad(
  x: Plain,
  weight: Plain,
  dy: Plain,
  stride: Triple,
  padding: Triple,
): Record<string, Plain> {
  const [images, , , , channels] = x.shape as number[]
  const out = weight.shape[1]!
  const kernel = weight.shape.slice(2)
  const [small, large] = [x.shape.slice(1, 4), dy.shape.slice(1, 4)]
  const taps = kernel.reduce((a, b) => a * b)
  const [smallVoxels, largeVoxels] = [small.reduce((a, b) => a * b), large.reduce((a, b) => a * b)]
  const dx = new Float64Array(x.data.length)
  const dweight = new Float64Array(weight.data.length)
  for (let n = 0; n < images!; n++)
    forTaps(small, large, kernel, stride, padding, (from, to, tap) => {
      for (let c = 0; c < channels!; c++)
        for (let o = 0; o < out; o++) {
          const gradient = dy.data[(n * largeVoxels + to) * out + o]!
          const w = (c * out + o) * taps + tap
          const i = (n * smallVoxels + from) * channels! + c
          dx[i]! += gradient * weight.data[w]!
          dweight[w]! += gradient * x.data[i]!
        }
    })
  return {
    dx: { shape: x.shape, data: Float32Array.from(dx) },
    dweight: { shape: weight.shape, data: Float32Array.from(dweight) },
    dbias: { shape: [out], data: channelSums(dy) },
  }
}

/** Sums over N, X, Y, Z. */
export function channelSums(dy: Plain): Float32Array {
  const channels = dy.shape.at(-1)!
  const sums = new Float64Array(channels)
  for (let i = 0; i < dy.data.length; i++) sums[i % channels]! += dy.data[i]!
  return Float32Array.from(sums)
}
