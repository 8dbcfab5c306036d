import { describe, expect, it } from 'vitest'
import { GaussianFilter, gaussianWeights, ScannerNoise } from '../../src/phantom/scanner.js'
import { Random } from '../../src/random.js'

const shape = [9, 12, 14] as const
const [X, Y, Z] = shape
const random = new Random(3, 'scanner tests')
const volume = Float32Array.from({ length: X * Y * Z }, () => random.normal())

/** The three sums written out, in float64. */
function reference(deviations: readonly number[], border: 'repeat' | 'wrap', x: number, y: number, z: number): number {
  const weights = deviations.map(gaussianWeights)
  const reach = weights.map((w) => w.length - 1)
  const at = (index: number, count: number): number =>
    border === 'repeat' ? Math.max(0, Math.min(count - 1, index)) : ((index % count) + count) % count
  let sum = 0
  for (let i = -reach[0]!; i <= reach[0]!; i++)
    for (let j = -reach[1]!; j <= reach[1]!; j++)
      for (let k = -reach[2]!; k <= reach[2]!; k++)
        sum +=
          weights[0]![Math.abs(i)]! *
          weights[1]![Math.abs(j)]! *
          weights[2]![Math.abs(k)]! *
          volume[(at(x + i, X) * Y + at(y + j, Y)) * Z + at(z + k, Z)]!
  return sum
}

describe('the Gaussian filter', () => {
  it.each(['repeat', 'wrap'] as const)('is the direct sum, with %s borders', (border) => {
    const deviations = [1.2, 0.4, 0.8] as const
    const filter = new GaussianFilter((i) => volume.subarray(i * Y * Z, (i + 1) * Y * Z), shape, deviations, border)
    let worst = 0
    for (let x = 0; x < X; x++) {
      const plane = filter.plane(x)
      for (let y = 0; y < Y; y++)
        for (let z = 0; z < Z; z++)
          worst = Math.max(worst, Math.abs(plane[y * Z + z]! - reference(deviations, border, x, y, z)))
    }
    // Values of about 1, three roundings to float32 and sums of at most 9 terms each.
    expect(worst).toBeLessThan(2e-6)
  })

  it('has weights that sum to 1, in the shape of a Gaussian', () => {
    for (const deviation of [0, 0.3, 1, 2.5]) {
      const weights = gaussianWeights(deviation)
      expect(weights.reduce((sum, weight, t) => sum + (t ? 2 : 1) * weight, 0)).toBeCloseTo(1, 12)
      if (deviation === 1) expect(weights[2]! / weights[1]!).toBeCloseTo(Math.exp(-1.5), 12)
    }
  })
})

describe('scanner noise', () => {
  const size = [24, 40, 40] as const
  const planes = (index: number, grain: readonly [number, number, number]): Float32Array[] => {
    const noise = new ScannerNoise({ seed: 4, index }, size, grain)
    return Array.from({ length: size[0] }, (_, i) => noise.plane(i).slice())
  }

  it.each([0.35, 0.7, 1.1])('has standard deviation 1 and mean 0 at a grain of %f voxels', (grain) => {
    const values = planes(1, [grain, grain, grain])
    const count = size[0] * size[1] * size[2]
    const mean = values.flatMap((plane) => [...plane]).reduce((sum, value) => sum + value, 0) / count
    const power = values.reduce((sum, plane) => sum + plane.reduce((s, value) => s + value * value, 0), 0) / count
    // 38,400 voxels; neighbours within the grain are not independent, at most some 60 of them.
    expect(Math.abs(mean)).toBeLessThan(0.05)
    expect(Math.sqrt(power)).toBeCloseTo(1, 1)
  })

  it('is alike between neighbours, and little so farther off', () => {
    const values = planes(1, [0.8, 0.8, 0.8])
    const correlation = (dx: number, dz: number): number => {
      let sum = 0
      let count = 0
      for (let i = 0; i + dx < size[0]; i++)
        for (let j = 0; j < size[1]; j++)
          for (let k = 0; k + dz < size[2]; k++, count++)
            sum += values[i]![j * size[2] + k]! * values[i + dx]![j * size[2] + k + dz]!
      return sum / count
    }
    expect(correlation(0, 1)).toBeGreaterThan(0.3)
    expect(correlation(1, 0)).toBeGreaterThan(0.3)
    expect(Math.abs(correlation(0, 8))).toBeLessThan(0.1)
  })

  it('is another one in another scan, and the same in the same', () => {
    const grain = [0.5, 0.5, 0.5] as const
    expect(planes(1, grain)).toEqual(planes(1, grain))
    expect(planes(2, grain)[3]).not.toEqual(planes(1, grain)[3])
  })
})
