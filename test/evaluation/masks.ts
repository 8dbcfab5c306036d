import type { Extents } from '../../src/extents.js'
import { Random } from '../../src/random.js'

/** A mask of a few overlapping ellipsoids with ragged borders, which may touch the image's border. */
export function blobs(shape: Extents, seed: number, count = 3): Uint8Array {
  const random = new Random(seed, 'test/blobs')
  const balls = Array.from({ length: count }, () => ({
    centre: shape.map((extent) => random.uniform(0, extent)),
    radii: shape.map((extent) => random.uniform(0.1, 0.4) * extent + 1),
  }))
  const mask = new Uint8Array(shape[0] * shape[1] * shape[2])
  for (let x = 0, i = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++) {
        const rough = random.uniform(0.8, 1.2)
        if (
          balls.some(
            ({ centre, radii }) =>
              Math.hypot(...[x, y, z].map((at, axis) => (at - centre[axis]!) / radii[axis]!)) < rough,
          )
        )
          mask[i] = 1
      }
  return mask
}
