import type { Extents } from '../extents.js'
import { alongAxes, type Frame, medianSpacing, type PlacedScan } from './frame.js'
import type { DiscoveryOptions } from './options.js'

/** What a coordinate must keep to in its reference scan. */
export interface CoordinateRules {
  /** Distance of the box from the borders: of the scan (voxel frame) or its body box (body frame), on both sides. */
  readonly borders:
    | { readonly kind: 'voxels'; readonly extents: Extents }
    /** In parts of the scan's extents, or of the body box's. */
    | { readonly kind: 'parts'; readonly extents: Extents }
  /** Coordinates nearer than this along all axes are one. Voxel frame: voxels. Body frame: parts of the patch. */
  readonly separation: number
  /** Highest density score; undefined accepts all. */
  readonly density: number | undefined
  /** Least part of the box that is tissue, and least structure: body frame only, else 0. */
  readonly tissue: number
  readonly structure: number
  /** Least resemblance of an instance to its reference: body frame only, else -1. */
  readonly resemblance: number
}

/** Coordinates tried in one reference before the next one's turn. */
export const tries = 200

/** Published for slices of 512 x 512; the 30 slices are of the 256 that chest CT of that time had. */
const publishedBorders: Extents = [100 / 512, 100 / 512, 30 / 256]
/** In the body frame crops keep this part of the body box from its faces, where fields of view differ most. */
const bodyBorders: Extents = [1 / 20, 1 / 20, 1 / 20]
const published = { separation: 5, density: 0.15 }
/** Body frame: two patterns share at most half of their crop along some axis. */
const bodySeparation = 0.5
/**
 * Body frame: half of the box is not air around the body, something is to be seen in it, and an instance shows about the
 * same.
 */
const bodyContent = { tissue: 0.5, structure: 0.02, resemblance: 0.5 }
const noContent = { tissue: 0, structure: 0, resemblance: -1 }

/**
 * The rules to begin with. Published ones in the voxel frame, their borders in proportion where scans are smaller than
 * 512 x 512 x 256. In the body frame, which is for any part of the body, the density rule (made to stay in the lungs) gives
 * way to rules that want tissue, structure, and instances that look alike.
 */
export function startingRules(
  frame: Frame,
  options: Pick<DiscoveryOptions, 'borders' | 'separation' | 'density'>,
): CoordinateRules {
  const voxel = frame.name === 'voxel'
  return {
    borders: options.borders
      ? { kind: 'voxels', extents: options.borders }
      : { kind: 'parts', extents: voxel ? publishedBorders : bodyBorders },
    separation: options.separation ?? (voxel ? published.separation : bodySeparation),
    density: options.density ?? (voxel ? published.density : undefined),
    ...(voxel ? noContent : bodyContent),
  }
}

/**
 * The rules after one more relaxation, with what was given up in words; undefined when nothing is left to relax.
 * The order: what a crop shows counts half; coordinates come nearer; borders go; what a crop shows no longer counts.
 */
export function relaxed(
  frame: Frame,
  rules: CoordinateRules,
  step: number,
): { rules: CoordinateRules; what: string } | undefined {
  const voxel = frame.name === 'voxel'
  switch (step) {
    case 0: {
      const density = rules.density === undefined ? undefined : Math.min(1, rules.density * 2)
      const { tissue, structure, resemblance } = rules
      const halved = voxel ? noContent : { tissue: tissue / 2, structure: structure / 2, resemblance: resemblance / 2 }
      const changes = [
        density === undefined ? '' : `the density limit is ${density}`,
        voxel ? '' : 'a crop needs half of the tissue, structure and resemblance',
      ].filter((change) => change)
      return { rules: { ...rules, density, ...halved }, what: changes.join(' and ') }
    }
    case 1: {
      const separation = rules.separation / 2
      return {
        rules: { ...rules, separation },
        what: `patterns may be as near as ${separation} ${voxel ? 'voxels' : 'of a patch'}`,
      }
    }
    case 2:
      return {
        rules: { ...rules, borders: { kind: 'voxels', extents: [0, 0, 0] } },
        what: 'crops may reach to the borders',
      }
    case 3:
      return { rules: { ...rules, density: undefined, ...noContent }, what: 'what a crop shows no longer counts' }
    default:
      return undefined
  }
}

/**
 * First voxels that a reference's box may have, from low to high, both included; undefined where the box does not fit.
 * Where the borders leave no place, the middle one is kept.
 */
export function placesFor(
  frame: Frame,
  rules: CoordinateRules,
  scan: PlacedScan,
  size: Extents,
  spacing: Extents,
): { low: Extents; high: Extents } | undefined {
  if (frame.name === 'voxel' && size.some((extent, axis) => extent > scan.shape[axis]!)) return undefined
  const from = frame.name === 'voxel' ? ([0, 0, 0] as const) : scan.body.low
  const to = frame.name === 'voxel' ? scan.shape : scan.body.high
  const border = alongAxes((axis) =>
    rules.borders.kind === 'parts'
      ? Math.round(rules.borders.extents[axis] * (to[axis] - from[axis]))
      : // In the body frame, voxels of the cohort's size.
        Math.round(
          frame.name === 'voxel'
            ? rules.borders.extents[axis]
            : (rules.borders.extents[axis] * spacing[axis]) / scan.spacing[axis],
        ),
  )
  const low = alongAxes((axis) => from[axis] + border[axis])
  const high = alongAxes((axis) => to[axis] - border[axis] - size[axis])
  const middle = alongAxes((axis) => Math.floor((from[axis] + to[axis] - size[axis]) / 2))
  return {
    low: alongAxes((axis) => (high[axis] < low[axis] ? middle[axis] : low[axis])),
    high: alongAxes((axis) => (high[axis] < low[axis] ? middle[axis] : high[axis])),
  }
}

/**
 * How far apart two coordinates are: along the axis where they differ most, in voxels (voxel frame) or in parts of the
 * patch in a body of the cohort's median size (body frame).
 */
export function distanceIn(frame: Frame, scans: readonly PlacedScan[]): (a: Extents, b: Extents) => number {
  const unit = unitLengths(frame, scans)
  return (a, b) => Math.max(...alongAxes((axis) => Math.abs(a[axis] - b[axis]) * unit[axis]))
}

/** What a coordinate's 1 is along each axis: a voxel, or the body's median length in patches. */
export function unitLengths(frame: Frame, scans: readonly PlacedScan[]): Extents {
  if (frame.name === 'voxel') return [1, 1, 1]
  const lengths = scans.map(({ body, spacing }) => ({
    spacing: alongAxes((axis) => (body.high[axis] - body.low[axis]) * spacing[axis]),
  }))
  const body = medianSpacing(lengths)
  return alongAxes((axis) => body[axis] / frame.millimetres[axis])
}
