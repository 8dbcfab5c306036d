import { describe, expect, it } from 'vitest'
import { squaredDistances } from '../../src/evaluation/distance.js'
import { compareSurfaces, surfaceOf } from '../../src/evaluation/surface.js'
import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'
import { blobs } from './masks.js'
import { ask, lacking } from './oracle.js'

const cases: [Extents, Extents][] = [
  [
    [13, 17, 11],
    [0.7, 0.7, 2.5],
  ],
  [
    [14, 9, 16],
    [1, 1, 1],
  ],
  [
    [1, 20, 15],
    [3, 0.31, 0.97],
  ],
  [
    [7, 1, 1],
    [1.1, 1, 1],
  ],
]

/** Each voxel's distance to every source, the least of them. */
function bruteForce(sources: Uint8Array, [nx, ny, nz]: Extents, spacing: Extents): Float64Array {
  const places: Extents[] = []
  for (let x = 0, i = 0; x < nx; x++)
    for (let y = 0; y < ny; y++) for (let z = 0; z < nz; z++, i++) if (sources[i]) places.push([x, y, z])
  const result = new Float64Array(sources.length)
  for (let x = 0, i = 0; x < nx; x++)
    for (let y = 0; y < ny; y++)
      for (let z = 0; z < nz; z++, i++) {
        let least = Number.POSITIVE_INFINITY
        for (const [px, py, pz] of places)
          least = Math.min(
            least,
            ((x - px) * spacing[0]) ** 2 + ((y - py) * spacing[1]) ** 2 + ((z - pz) * spacing[2]) ** 2,
          )
        result[i] = least
      }
  return result
}

describe('distances to the nearest source', () => {
  it.each(cases)('%j voxels of %j mm are those of trying every source', (shape, spacing) => {
    for (const density of [0.002, 0.05, 0.5, 1]) {
      const random = new Random(1, 'test/sources', density * 1000)
      const sources = Uint8Array.from({ length: shape[0] * shape[1] * shape[2] }, () =>
        random.chance(density) ? 1 : 0,
      )
      sources[random.integer(0, sources.length)] = 1
      const expected = bruteForce(sources, shape, spacing)
      // Rounded to float32 after each of three axes: 3 * 2^-24 of the value.
      for (const [i, value] of squaredDistances(sources, shape, spacing).entries())
        expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(1.8e-7 * expected[i]!)
    }
  })

  it('are infinite where there is no source', () => {
    expect([...squaredDistances(new Uint8Array(8), [2, 2, 2], [1, 1, 1])]).toEqual(new Array(8).fill(Infinity))
  })
})

const absent = lacking('surfaces against SciPy', 'scipy.ndimage', 'numpy')

/** Erosion, SciPy's distance transform, NumPy's quantiles. */
const reference = `
import numpy as np
from scipy import ndimage
answer = []
for case in asked:
    a, b = (np.array(case[k], dtype=bool).reshape(case['shape']) for k in 'ab')
    edges = [m & ~ndimage.binary_erosion(m) for m in (a, b)]
    def distances(of, to):
        return ndimage.distance_transform_edt(~to, sampling=case['spacing'])[of]
    d = [distances(*edges), distances(*edges[::-1])]
    answer.append({
        'surfaces': [int(e.sum()) for e in edges],
        'hausdorff95': max(np.quantile(x, 0.95) for x in d),
        'surfaceDice': sum(int((x <= case['tolerance'] + 1e-9).sum()) for x in d) / sum(len(x) for x in d),
    })
`

describe.skipIf(absent)('surfaces of masks', () => {
  const pairs = cases.flatMap(([shape, spacing], i) =>
    [0.31, 1, 2.5].map((tolerance, j) => {
      const [a, b] = [blobs(shape, 10 * i + j), blobs(shape, 10 * i + j + 100)]
      // Neither is empty.
      a[0] = b[a.length - 1] = 1
      return { shape, spacing, tolerance, a: [...a], b: [...b] }
    }),
  )
  it('are those of SciPy, and so are the distances between them', () => {
    type Told = { surfaces: number[]; hausdorff95: number; surfaceDice: number }
    for (const [i, told] of ask<Told[]>(reference, pairs).entries()) {
      const { a, b, shape, spacing, tolerance } = pairs[i]!
      const masks = [Uint8Array.from(a), Uint8Array.from(b)] as const
      expect(masks.map((mask) => surfaceOf(mask, shape).reduce((n, v) => n + v, 0))).toEqual(told.surfaces)
      const { surfaceDice, hausdorff95 } = compareSurfaces(...masks, shape, spacing, tolerance)
      // Counts of voxels: the same division.
      expect(surfaceDice).toBeCloseTo(told.surfaceDice, 12)
      // Squared distances are rounded to float32.
      expect(Math.abs(hausdorff95 - told.hausdorff95)).toBeLessThanOrEqual(2e-7 * told.hausdorff95)
    }
  })
})

describe('surfaces', () => {
  it('of a mask and itself agree', () => {
    const mask = blobs([12, 12, 12], 5)
    expect(compareSurfaces(mask, mask, [12, 12, 12], [1, 2, 3], 0)).toEqual({ surfaceDice: 1, hausdorff95: 0 })
  })

  it('one voxel apart lie within a tolerance of just that voxel, whatever its size is rounded to', () => {
    for (const spacing of [0.1, 0.3, 0.7, 1.1, 1 / 3]) {
      const [a, b] = [Uint8Array.of(1, 0, 0), Uint8Array.of(0, 1, 0)]
      const figures = compareSurfaces(a, b, [1, 1, 3], [1, 1, spacing], spacing)
      expect(figures.surfaceDice).toBe(1)
      expect(figures.hausdorff95).toBeCloseTo(spacing, 6)
      expect(compareSurfaces(a, b, [1, 1, 3], [1, 1, spacing], 0.99 * spacing).surfaceDice).toBe(0)
    }
  })
})
