import type { Plain } from './harness.js'

/** Resampling in float64, voxel centres half a voxel from the border. Activations [N, X, Y, Z, C]. */

/** The input positions and weights of an output position along one axis. */
function taps(method: string, position: number, from: number, to: number): [index: number, weight: number][] {
  const centre = ((position + 0.5) * from) / to
  if (method === 'nearest') return [[Math.min(Math.floor(centre), from - 1), 1]]
  const at = Math.max(centre - 0.5, 0)
  const low = Math.floor(at)
  const share = at - low
  return [
    [low, 1 - share],
    [Math.min(low + 1, from - 1), share],
  ]
}

/** Calls visit(small element, large element, weight) for every pair that a resizing from x to y joins. */
function forPairs(
  method: string,
  x: readonly number[],
  y: readonly number[],
  visit: (from: number, to: number, weight: number) => void,
): void {
  const [images, X, Y, Z, channels] = y as [number, number, number, number, number]
  const [, FX, FY, FZ] = x as [number, number, number, number]
  for (let n = 0; n < images; n++)
    for (let i = 0; i < X; i++)
      for (let j = 0; j < Y; j++)
        for (let k = 0; k < Z; k++)
          for (const [fi, wi] of taps(method, i, FX, X))
            for (const [fj, wj] of taps(method, j, FY, Y))
              for (const [fk, wk] of taps(method, k, FZ, Z)) {
                const to = (((n * X + i) * Y + j) * Z + k) * channels
                const from = (((n * FX + fi) * FY + fj) * FZ + fk) * channels
                for (let c = 0; c < channels; c++) visit(from + c, to + c, wi * wj * wk)
              }
}

export function resize(method: string, x: Plain, shape: readonly number[]): Float32Array {
  const y = new Float64Array(shape.reduce((a, b) => a * b))
  forPairs(method, x.shape, shape, (from, to, weight) => {
    y[to]! += weight * x.data[from]!
  })
  return Float32Array.from(y)
}

export function resizeGrad(method: string, x: readonly number[], dy: Plain): Float32Array {
  const dx = new Float64Array(x.reduce((a, b) => a * b))
  forPairs(method, x, dy.shape, (from, to, weight) => {
    dx[from]! += weight * dy.data[to]!
  })
  return Float32Array.from(dx)
}
