import type { Extents } from '../extents.js'

/** Voxels as they were read. */
export type VoxelArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array

/** A scan in canonical order over data in any order: strides in elements, negative where an axis is flipped. */
export interface RawScan {
  readonly data: VoxelArray
  readonly offset: number
  readonly strides: Extents
  readonly shape: Extents
  readonly slope: number
  readonly intercept: number
}

export interface ScanSummary {
  /** Smallest and largest finite value. */
  readonly low: number
  readonly high: number
  /** Quantiles 0.5 % and 99.5 %. */
  readonly robustLow: number
  readonly robustHigh: number
  /** NaN and infinite voxels. */
  readonly nonFinite: number
  /** Whether all values are whole numbers. */
  readonly whole: boolean
}

/** The part of every addon that reads and prepares volumes (binding/volumes.cpp). Only src/volumes touches it. */
export interface VolumesAddon {
  /** The first `bytes` of a gzip file of any number of members. */
  inflateGzip(path: string, bytes: number): Promise<ArrayBuffer>
  /** A file as read-only memory: writing to it ends the process. */
  mapFile(path: string): ArrayBuffer
  summarizeScan(scan: RawScan): Promise<ScanSummary>
  /** Every voxel as 65535 * (v - low) / (high - low), clipped, z fastest. */
  quantizeScan(scan: RawScan, low: number, high: number, into: Uint16Array): Promise<void>
  bodyBox(voxels: Uint16Array, shape: Extents, threshold: number): Promise<{ low: Extents; high: Extents }>
}
