import type { Extents } from '../extents.js'
import { quantile } from '../statistics.js'
import { squaredDistances } from './distance.js'

/** How far apart the surfaces of two masks are. */
export interface SurfaceFigures {
  /** Share of both surfaces' voxels that lie within the tolerance of the other surface. */
  readonly surfaceDice: number
  /** The 95 % quantile of the distances from one surface to the other, in millimetres: the larger of both directions. */
  readonly hausdorff95: number
}

/** Distances are rounded: one that equals the tolerance is within it. A millionth is far below any voxel. */
const slack = 1 + 1e-6

/**
 * Compares the surfaces of two masks on one grid, neither of them empty. A mask's surface is its voxels that have one of
 * their six neighbours outside of it, or outside of the image; distances are between centres. Voxels count alike, whatever
 * area of the surface they stand for.
 * @param a one byte a voxel, z fastest: 1 inside
 * @param tolerance millimetres
 */
export function compareSurfaces(
  a: Uint8Array,
  b: Uint8Array,
  shape: Extents,
  spacing: Extents,
  tolerance: number,
): SurfaceFigures {
  const surfaces = [surfaceOf(a, shape), surfaceOf(b, shape)] as const
  // The masks are not needed any more, and one map of distances at a time is enough.
  const directions = [
    [surfaces[0], surfaces[1]],
    [surfaces[1], surfaces[0]],
  ] as const
  let within = 0
  let hausdorff95 = 0
  for (const [from, to] of directions) {
    const squared = squaredDistances(to, shape, spacing)
    const distances = new Float64Array(from.reduce((sum, voxel) => sum + voxel, 0))
    let n = 0
    for (let i = 0; i < from.length; i++) if (from[i]) distances[n++] = Math.sqrt(squared[i]!)
    distances.sort()
    for (const distance of distances) if (distance <= tolerance * slack) within++
    hausdorff95 = Math.max(hausdorff95, quantile(distances, 0.95))
  }
  const count = surfaces.reduce((sum, surface) => sum + surface.reduce((n, voxel) => n + voxel, 0), 0)
  return { surfaceDice: within / count, hausdorff95 }
}

/** The voxels of a mask that have a neighbour outside: 1, the others 0. */
export function surfaceOf(mask: Uint8Array, [nx, ny, nz]: Extents): Uint8Array {
  const surface = new Uint8Array(mask.length)
  const [sx, sy] = [ny * nz, nz]
  let i = 0
  for (let x = 0; x < nx; x++)
    for (let y = 0; y < ny; y++)
      for (let z = 0; z < nz; z++, i++) {
        if (!mask[i]) continue
        const inner =
          x > 0 &&
          y > 0 &&
          z > 0 &&
          x < nx - 1 &&
          y < ny - 1 &&
          z < nz - 1 &&
          mask[i - sx]! & mask[i + sx]! & mask[i - sy]! & mask[i + sy]! & mask[i - 1]! & mask[i + 1]!
        if (!inner) surface[i] = 1
      }
  return surface
}
