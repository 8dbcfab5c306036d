import type { Extents } from '../extents.js'
import { Random } from '../random.js'
import { instanceIn, type Likeness, type ReferenceScan } from './coordinates.js'
import { type Box, type Coordinate, type Frame, within } from './frame.js'
import type { Neighbour } from './neighbours.js'
import type { PatternCrop } from './patterns.js'

/** Published: sizes of 50 to 79 and shifts of up to 10 voxels for a patch of 64 x 64 x 32, in x and y alone. */
const resolution = { smallest: 50, end: 80, shift: 10, patch: 64 }
/** Boxes of an instance besides its own. */
const others = 2

/**
 * The boxes of one instance: its own, and two of other sizes shifted a little in x and y, in proportion to it. In the
 * body frame they are kept within the scan like their own; in the voxel frame, where they reach out, edge voxels repeat.
 */
export function instanceBoxes(frame: Frame, own: Box, shape: Extents, random: Random): Box[] {
  const boxes = [own]
  for (let i = 0; i < others; i++) {
    const along = (axis: 0 | 1): [number, number] => {
      const size = Math.max(
        1,
        Math.round((own.size[axis] * random.integer(resolution.smallest, resolution.end)) / resolution.patch),
      )
      const shift = random.integer(-resolution.shift, resolution.shift + 1) / resolution.patch
      const start = own.start[axis] + Math.round(own.size[axis] * shift)
      return [frame.name === 'body' ? within(start, size, shape[axis]) : start, size]
    }
    const [x, sizeX] = along(0)
    const [y, sizeY] = along(1)
    boxes.push({ start: [x, y, own.start[2]], size: [sizeX, sizeY, own.size[2]] })
  }
  return boxes
}

/**
 * The crops of one class in one part of the cohort: its place in up to `count` of the nearest scans. Scans too small for
 * the box (voxel frame), and ones that show something else there (body frame), are passed over.
 */
export function classCrops(
  place: Likeness & { readonly label: number; readonly coordinate: Coordinate },
  neighbours: readonly Neighbour[],
  scans: readonly ReferenceScan[],
  frame: Frame,
  of: { readonly split: PatternCrop['split']; readonly count: number; readonly seed: number },
): PatternCrop[] {
  const crops: PatternCrop[] = []
  let taken = 0
  for (const { index } of neighbours) {
    if (taken === of.count) break
    const scan = scans[index]!
    const own = instanceIn(frame, scan, place.coordinate, place)
    if (!own) continue
    taken++
    // Held-out crops have their own size alone, as published.
    const boxes =
      of.split === 'train'
        ? instanceBoxes(frame, own, scan.shape, new Random(of.seed, 'discovery/resolution', place.label, index))
        : [own]
    for (const [level, { start, size }] of boxes.entries())
      crops.push({ scan: scan.id, start: [...start], size: [...size], split: of.split, resolution: level })
  }
  return crops
}
