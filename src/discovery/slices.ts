import type { Extents } from '../extents.js'
import { fillCubes, type Scan } from '../perturb/index.js'
import type { Picture } from './canvas.js'
import type { Box } from './frame.js'

/** The planes, as a radiologist looks at them: the patient's right on the left, front and head up; sagittal faces left. */
export const planes = ['axial', 'coronal', 'sagittal'] as const
export type Plane = (typeof planes)[number]

/** Axes (0 x to the right, 1 y to the front, 2 z to the head) across and down a plane's picture, and through it. */
export const planeAxes = {
  axial: { across: 0, down: 1, through: 2 },
  coronal: { across: 0, down: 2, through: 1 },
  sagittal: { across: 1, down: 2, through: 0 },
} as const

/**
 * The middle slice of a box of a scan, resampled to `width` x `height` pixels. The axes of a prepared scan run to the
 * right, front and head, so all pictures are mirrored along both of theirs.
 */
export async function middleSlice(scan: Scan, box: Box, plane: Plane, width: number, height: number): Promise<Picture> {
  const { across, down, through } = planeAxes[plane]
  const start = [...box.start] as [number, number, number]
  const size = [...box.size] as [number, number, number]
  start[through] += Math.floor(size[through] / 2)
  size[through] = 1
  const shape: [number, number, number] = [1, 1, 1]
  shape[across] = width
  shape[down] = height
  const slice = new Float32Array(width * height)
  await fillCubes([{ scan, start, size }], shape as Extents, slice)
  const values = new Float32Array(width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) values[y * width + x] = slice[(width - 1 - x) * height + height - 1 - y]!
  return { width, height, values }
}

/** The same picture with the values from `low` to `high` spread over black to white. */
export function windowed({ values, ...of }: Picture, [low, high]: readonly [number, number]): Picture {
  return { ...of, values: values.map((value) => (value - low) / Math.max(high - low, 1e-6)) }
}

/** The values below which the shares `low` and `high` of all pixels lie. */
export function quantiles(pictures: readonly Picture[], low: number, high: number): [number, number] {
  const all = new Float32Array(pictures.reduce((sum, { values }) => sum + values.length, 0))
  let at = 0
  for (const { values } of pictures) {
    all.set(values, at)
    at += values.length
  }
  all.sort()
  const quantile = (share: number) => all[Math.round(share * (all.length - 1))] ?? 0
  return [quantile(low), quantile(high)]
}
