import type { Extents } from '../extents.js'
import type { FrameName } from './options.js'

/** What is needed of a prepared scan to find a place in it. */
export interface PlacedScan {
  readonly id: string
  readonly shape: Extents
  /** Millimetres. */
  readonly spacing: Extents
  /** The box [low, high) of what is not background, in voxels. */
  readonly body: { readonly low: Extents; readonly high: Extents }
}

/** A box of a scan's voxels. */
export interface Box {
  readonly start: Extents
  readonly size: Extents
}

/**
 * How a coordinate becomes a box of a scan.
 *
 * `voxel`: the coordinate is the box's first voxel, and the box has the patch's voxels, in every scan (as published).
 * `body`: the coordinate is the box's centre in parts of the scan's body box, 0 to 1, and the box has the same
 * millimetres in every scan. Scans of other spacing, size or field of view so give the same place at the same scale.
 */
export type Frame =
  | { readonly name: 'voxel'; readonly patch: Extents }
  | { readonly name: 'body'; readonly patch: Extents; readonly millimetres: Extents }

export type Coordinate = readonly [number, number, number]

/**
 * A frame. In the body frame a patch has the cohort's median voxel size: where all scans share a spacing, crops are not
 * resampled at all.
 */
export function makeFrame(name: FrameName, patch: Extents, scans: readonly Pick<PlacedScan, 'spacing'>[]): Frame {
  if (name === 'voxel') return { name, patch }
  return { name, patch, millimetres: alongAxes((axis) => patch[axis] * medianSpacing(scans)[axis]) }
}

/** Median voxel size of a cohort, axis by axis, in millimetres. */
export function medianSpacing(scans: readonly Pick<PlacedScan, 'spacing'>[]): Extents {
  return alongAxes((axis) => median(scans.map(({ spacing }) => spacing[axis])))
}

/** Voxels of a scan that a box of resolution 0 has. */
export function boxSize(frame: Frame, scan: Pick<PlacedScan, 'spacing'>): Extents {
  if (frame.name === 'voxel') return frame.patch
  return alongAxes((axis) => Math.max(1, Math.round(frame.millimetres[axis] / scan.spacing[axis])))
}

/** The box of a coordinate in a scan. In the body frame it is moved to lie within the scan, or is centred on it. */
export function boxAt(frame: Frame, scan: PlacedScan, coordinate: Coordinate): Box {
  const size = boxSize(frame, scan)
  if (frame.name === 'voxel') return { start: [...coordinate], size }
  const { low, high } = scan.body
  const start = alongAxes((axis) => {
    const centre = low[axis] + coordinate[axis] * (high[axis] - low[axis])
    return within(Math.round(centre - size[axis] / 2), size[axis], scan.shape[axis])
  })
  return { start, size }
}

/** The coordinate whose box in this scan is `box`: what boxAt gives back, to a voxel's rounding. */
export function coordinateOf(frame: Frame, scan: PlacedScan, { start, size }: Box): Coordinate {
  if (frame.name === 'voxel') return [...start]
  const { low, high } = scan.body
  return alongAxes((axis) => (start[axis] + size[axis] / 2 - low[axis]) / (high[axis] - low[axis]))
}

/** Whether the box lies within the scan. */
export function fits({ start, size }: Box, shape: Extents): boolean {
  return axes.every((axis) => start[axis] >= 0 && start[axis] + size[axis] <= shape[axis])
}

/** A first voxel moved so that `size` voxels lie within `extent`; centred where they cannot. */
export function within(start: number, size: number, extent: number): number {
  return size > extent ? Math.floor((extent - size) / 2) : Math.min(Math.max(start, 0), extent - size)
}

export const axes = [0, 1, 2] as const
export type Axis = (typeof axes)[number]

export function alongAxes<T = number>(of: (axis: Axis) => T): [T, T, T] {
  return [of(0), of(1), of(2)]
}

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}
