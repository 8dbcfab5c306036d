import type { Extents } from '../extents.js'
import { extentsText } from '../extents.js'
import { counted } from '../format.js'
import { alongAxes, type Frame, median, type PlacedScan } from './frame.js'
import type { DiscoveryOptions } from './options.js'
import { type CoordinateRules, unitLengths } from './rules.js'

/** As published. */
const published = {
  patch: [64, 64, 32] as Extents,
  /** The paper's 50 are 44 in the published code. */
  classes: 44,
  neighbours: 200,
  validationNeighbours: 30,
}

/**
 * The patch for a cohort: a third of its median scan along each axis, at most the published one, in whole numbers of 8
 * voxels (four levels of resolution), at least 16 where the scans have them. A larger patch would leave patterns no room
 * to differ in place; a smaller one shows too little.
 */
export function choosePatch(scans: readonly { readonly shape: Extents }[]): Extents {
  return alongAxes((axis) => {
    const extent = median(scans.map(({ shape }) => shape[axis]))
    const most = Math.max(8, Math.floor(extent / 8) * 8)
    return Math.min(most, Math.max(16, Math.round(extent / 24) * 8), published.patch[axis])
  })
}

/** Of the places that fit on a grid of the least distance, random draws fill about this part before they find no more. */
const filled = 0.4

/**
 * C for a cohort: the published 44, or as many as can be told apart by where they are: what random places at least
 * `rules.separation` apart reach in the room that the patch leaves.
 */
export function chooseClasses(frame: Frame, rules: CoordinateRules, scans: readonly PlacedScan[]): number {
  const unit = unitLengths(frame, scans)
  const room = alongAxes((axis) => {
    const extent = frame.name === 'body' ? unit[axis] : median(scans.map(({ shape }) => shape[axis]))
    const size = frame.name === 'body' ? 1 : frame.patch[axis]
    const border =
      rules.borders.kind === 'parts'
        ? rules.borders.extents[axis] * extent
        : (rules.borders.extents[axis] * size) / frame.patch[axis]
    return Math.max(0, extent - 2 * border - size)
  })
  const grid = room.reduce((product, length) => product * (Math.floor(length / rules.separation) + 1), 1)
  return Math.max(2, Math.min(published.classes, Math.round(grid * filled)))
}

/** K for a cohort: half of the training scans, at most the published 200 and at least 12 where there are as many. */
export function chooseNeighbours(scans: number): number {
  return Math.min(published.neighbours, scans, Math.max(12, Math.ceil(scans / 2)))
}

export function chooseValidationNeighbours(scans: number): number {
  return Math.min(published.validationNeighbours, scans)
}

/** What was chosen, in sentences for people. */
export function describeChoice(
  options: DiscoveryOptions,
  frame: Frame,
  rules: CoordinateRules,
  chosen: { classes: number; neighbours: number; validationNeighbours: number; train: number; validation: number },
): string[] {
  const { patch } = frame
  const { classes, neighbours, train } = chosen
  const borders = rules.borders.extents.map((value) =>
    rules.borders.kind === 'parts' ? `${(100 * value).toFixed(0)} %` : String(value),
  )
  const unit = frame.name === 'voxel' ? 'voxels' : 'of a patch'
  return [
    `Patch: ${extentsText(patch)} voxels` +
      (frame.name === 'body'
        ? `, ${frame.millimetres.map((size) => size.toFixed(0)).join(' x ')} mm in every scan`
        : '') +
      (options.patch ? '.' : ': about a third of the median scan (published: 64 x 64 x 32); --patch sets it.'),
    `Patterns: ${classes}` +
      (options.classes === undefined ? ` with room to be told apart (published: 44); --classes sets it.` : '.'),
    `Neighbours: ${neighbours} of ${counted(train, 'training scan')}, ${chosen.validationNeighbours} of ${chosen.validation} held out` +
      (options.neighbours === undefined ? ' (published: 200 and 30); --neighbours sets it.' : '.'),
    frame.name === 'body'
      ? `Coordinates: the same place in every body, ${borders.join(', ')} from its borders, at least ${rules.separation} ${unit} apart.`
      : `Coordinates: the same voxel in every scan, ${borders.join(', ')} from the borders, at least ${rules.separation} ${unit} apart` +
        (rules.density === undefined ? '.' : `, density at most ${rules.density} in CT.`),
  ]
}
