/** Voxels along x, y and z. Arrays are stored with z fastest. */
export type Extents = readonly [number, number, number]

/** Voxels of a volume. */
export function voxelCount(extents: Extents): number {
  return extents[0] * extents[1] * extents[2]
}

/** As people write it: "64 x 64 x 32". */
export function extentsText(extents: readonly number[]): string {
  return extents.join(' x ')
}
