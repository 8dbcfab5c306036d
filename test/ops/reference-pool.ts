import type { Plain } from './harness.js'

/** Pooling in float64. Activations [N, X, Y, Z, C]. */

type Triple = readonly [number, number, number]

/** Calls visit(window, voxel inside it) for images and channels alike: both are element indices. */
function forWindows(
  large: readonly number[],
  small: readonly number[],
  kernel: Triple,
  stride: Triple,
  visit: (small: number, large: number) => void,
): void {
  const [images, X, Y, Z, channels] = small as [number, number, number, number, number]
  const [, LX, LY, LZ] = large as [number, number, number, number, number]
  for (let n = 0; n < images; n++)
    for (let x = 0; x < X; x++)
      for (let y = 0; y < Y; y++)
        for (let z = 0; z < Z; z++)
          for (let c = 0; c < channels; c++)
            for (let kx = 0; kx < kernel[0]; kx++)
              for (let ky = 0; ky < kernel[1]; ky++)
                for (let kz = 0; kz < kernel[2]; kz++) {
                  const [lx, ly, lz] = [x * stride[0] + kx, y * stride[1] + ky, z * stride[2] + kz]
                  visit(
                    (((n * X + x) * Y + y) * Z + z) * channels + c,
                    (((n * LX + lx) * LY + ly) * LZ + lz) * channels + c,
                  )
                }
}

export function pooledShape(x: readonly number[], kernel: Triple, stride: Triple): number[] {
  const extents = x.slice(1, 4).map((extent, i) => Math.floor((extent - kernel[i]!) / stride[i]!) + 1)
  return [x[0]!, ...extents, x[4]!]
}

/** The largest of each window, and the element it came from: the first of equals. */
export function maxPool(x: Plain, kernel: Triple, stride: Triple): { y: Plain; from: Int32Array } {
  const shape = pooledShape(x.shape, kernel, stride)
  const size = shape.reduce((a, b) => a * b)
  const y = new Float32Array(size).fill(Number.NEGATIVE_INFINITY)
  const from = new Int32Array(size)
  forWindows(x.shape, shape, kernel, stride, (small, large) => {
    if (x.data[large]! > y[small]!) {
      y[small] = x.data[large]!
      from[small] = large
    }
  })
  return { y: { shape, data: y }, from }
}

export function maxPoolGrad(x: readonly number[], from: Int32Array, dy: Plain): Float32Array {
  const dx = new Float64Array(x.reduce((a, b) => a * b))
  for (const [small, large] of from.entries()) dx[large]! += dy.data[small]!
  return Float32Array.from(dx)
}

export function avgPool(x: Plain, kernel: Triple, stride: Triple): Plain {
  const shape = pooledShape(x.shape, kernel, stride)
  const sums = new Float64Array(shape.reduce((a, b) => a * b))
  forWindows(x.shape, shape, kernel, stride, (small, large) => {
    sums[small]! += x.data[large]!
  })
  const taps = kernel[0] * kernel[1] * kernel[2]
  return { shape, data: Float32Array.from(sums, (sum) => sum / taps) }
}

export function avgPoolGrad(x: readonly number[], dy: Plain, kernel: Triple, stride: Triple): Float32Array {
  const dx = new Float64Array(x.reduce((a, b) => a * b))
  const taps = kernel[0] * kernel[1] * kernel[2]
  forWindows(x, dy.shape, kernel, stride, (small, large) => {
    dx[large]! += dy.data[small]! / taps
  })
  return Float32Array.from(dx)
}

/** [N, X, Y, Z, C] -> [N, C] */
export function globalAvgPool(x: Plain): Plain {
  const [images, , , , channels] = x.shape as [number, number, number, number, number]
  const voxels = x.data.length / images / channels
  const sums = new Float64Array(images * channels)
  for (let i = 0; i < x.data.length; i++)
    sums[Math.floor(i / channels / voxels) * channels + (i % channels)]! += x.data[i]!
  return { shape: [images, channels], data: Float32Array.from(sums, (sum) => sum / voxels) }
}

export function globalAvgPoolGrad(x: readonly number[], dy: Plain): Float32Array {
  const [images, X, Y, Z, channels] = x as [number, number, number, number, number]
  const voxels = X * Y * Z
  return Float32Array.from(
    { length: images * voxels * channels },
    (_, i) => dy.data[Math.floor(i / channels / voxels) * channels + (i % channels)]! / voxels,
  )
}
