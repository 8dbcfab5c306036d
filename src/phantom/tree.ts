import { Random } from '../random.js'
import type { Chest } from './chest.js'
import type { Patient } from './patient.js'
import { add, dot, length, rod, type Solid, scaled, subtract, type Vector } from './shapes.js'
import { type Part, part } from './skeleton.js'
import type { Torso } from './torso.js'
import type { Hilum } from './vessels.js'

/** One piece of a tree: a rod between two points. */
export interface Branch {
  readonly from: Vector
  readonly to: Vector
  readonly radiusFrom: number
  readonly radiusTo: number
}

/**
 * Grows a tree that fills a volume (Tawhai, Pullan and Hunter, "Generation of an anatomically based three-dimensional
 * model of the conducting airways", Ann Biomed Eng 28, 2000): a branch goes 40 % of the way to the centre of the points
 * it is to supply, where they are split by a plane through its direction. Radii follow Murray's law: the cube of a
 * radius is the sum of its children's cubes, so it grows with the cube root of the points supplied.
 * @param points are supplied by one tip each
 * @param tip the radius of the last branches, in millimetres
 */
export function growTree(root: Vector, points: readonly Vector[], tip: number, largest: number): Branch[] {
  const branches: Branch[] = []
  const radius = (count: number): number => Math.min(largest, tip * Math.cbrt(count))
  const open: { from: Vector; radius: number; points: readonly Vector[] }[] = []
  if (points.length > 0) open.push({ from: root, radius: radius(points.length), points })
  for (let next = open.pop(); next; next = open.pop()) {
    const { from, points: supplied } = next
    const centre = scaled(
      supplied.reduce((sum, point) => add(sum, point), [0, 0, 0] as Vector),
      1 / supplied.length,
    )
    const way = subtract(centre, from)
    const last = supplied.length === 1
    const to = add(from, scaled(way, last ? 0.9 : 0.4))
    const radiusTo = last ? tip * 0.8 : radius(supplied.length)
    branches.push({ from, to, radiusFrom: next.radius, radiusTo })
    if (last) continue
    for (const half of split(supplied, centre, way))
      open.push({ from: to, radius: Math.min(radiusTo, radius(half.length) * 1.15), points: half })
  }
  return branches
}

/** Two halves of the points, on either side of the plane through `along` that their spread is largest across. */
function split(points: readonly Vector[], centre: Vector, along: Vector): readonly [Vector[], Vector[]] {
  const forward = scaled(along, 1 / Math.max(1e-9, length(along)))
  const helper: Vector = Math.abs(forward[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0]
  const u = cross(forward, helper)
  const sideways = scaled(u, 1 / length(u))
  const upwards = cross(forward, sideways)
  let [uu, vv, uv] = [0, 0, 0]
  for (const point of points) {
    const from = subtract(point, centre)
    const [a, b] = [dot(from, sideways), dot(from, upwards)]
    uu += a * a
    vv += b * b
    uv += a * b
  }
  const angle = 0.5 * Math.atan2(2 * uv, uu - vv)
  const axis = add(scaled(sideways, Math.cos(angle)), scaled(upwards, Math.sin(angle)))
  // At the median, so that neither half is empty.
  const ordered = points.map((point) => ({ point, at: dot(point, axis) })).sort((a, b) => a.at - b.at)
  const half = ordered.length >> 1
  return [ordered.slice(0, half).map(({ point }) => point), ordered.slice(half).map(({ point }) => point)]
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/** Arteries, veins and airways inside both lungs. */
export function lungTrees(
  patient: Patient,
  torso: Torso,
  chest: Chest,
  heart: Solid,
  hila: Record<'right' | 'left', Hilum>,
): Part[] {
  const { pulmonaryVessels, airwayWall, airwayLumen } = patient.tissues
  const vessels: Branch[] = []
  const airways: Branch[] = []
  for (const [i, side] of (['right', 'left'] as const).entries()) {
    const random = new Random(patient.seed, `phantom ${side} lung tree`, patient.index)
    const lung = chest.lung(side)
    const scatter = (count: number, margin: number) => scatterPoints(random, torso, lung, heart, count, margin)
    const share = i === 0 ? 1 : 0.85
    vessels.push(...growTree(hila[side].artery, scatter(Math.round(300 * share), 4), 0.95, 7))
    vessels.push(...growTree(hila[side].vein, scatter(Math.round(240 * share), 4), 0.95, 6.5))
    airways.push(...growTree(hila[side].bronchus, scatter(Math.round(40 * share), 25), 1.3, 4.2))
  }
  const rods = (branches: readonly Branch[], by: number): Solid[] =>
    branches.map(({ from, to, radiusFrom, radiusTo }) => rod(from, to, radiusFrom + by, radiusTo + by))
  return [
    ...rods(vessels, 0).map((solid) => part(pulmonaryVessels, solid)),
    ...rods(airways, 0.9).map((solid) => part(airwayWall, solid)),
    ...rods(airways, 0).map((solid) => part(airwayLumen, solid)),
  ]
}

/** Points spread evenly over a lung, at least `margin` millimetres inside it and clear of the heart. */
function scatterPoints(
  random: Random,
  torso: Torso,
  lung: Solid,
  heart: Solid,
  count: number,
  margin: number,
): Vector[] {
  const { low, high } = lung.box
  const points: Vector[] = []
  // A lung fills about a third of its box: the limit is never met, and still ends the loop whatever is drawn.
  for (let tries = 0; points.length < count && tries < count * 100; tries++) {
    const x = random.uniform(low[0], high[0])
    const y = random.uniform(low[1], high[1])
    const z = random.uniform(low[2], high[2])
    const { wall } = torso.at(x, y, z)
    if (lung.distance(x, y, z, wall) < -margin && heart.distance(x, y, z, wall) > 3) points.push([x, y, z])
  }
  return points
}
