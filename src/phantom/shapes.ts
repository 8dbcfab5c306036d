/** A point or vector in millimetres: x to the patient's left, y to the back, z up (LPS+, as DICOM and ITK). */
export type Vector = readonly [number, number, number]

/** An axis-aligned box in millimetres. */
export interface Box {
  readonly low: Vector
  readonly high: Vector
}

/**
 * How far a point lies outside a shape, in millimetres, negative inside. Exact near a surface up to a few per cent,
 * which is all that painting needs. `wall` is the point's distance to the inner surface of the chest and abdominal wall,
 * negative inside the body's cavity.
 */
export type Distance = (x: number, y: number, z: number, wall: number) => number

/** A solid: where it is at most, and how far from its surface a point is. */
export interface Solid {
  readonly box: Box
  readonly distance: Distance
  /** The radius of something thinner than voxels may be: its share of a voxel is then less than its distance says. */
  readonly radius?: number
}

export const add = (a: Vector, b: Vector): Vector => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
export const subtract = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
export const scaled = (a: Vector, by: number): Vector => [a[0] * by, a[1] * by, a[2] * by]
export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
export const length = (a: Vector): number => Math.hypot(a[0], a[1], a[2])
export const mirrored = (a: Vector): Vector => [-a[0], a[1], a[2]]
export const mix = (a: number, b: number, t: number): number => a + (b - a) * t

/** 0 up to `from`, 1 from `to` on, and smooth between (`from` may be above `to`). */
export function smoothStep(from: number, to: number, value: number): number {
  const t = Math.max(0, Math.min(1, (value - from) / (to - from)))
  return t * t * (3 - 2 * t)
}

/** The smaller of two distances, rounded off where they meet, over `radius` millimetres. */
export function smoothUnion(a: number, b: number, radius: number): number {
  const overlap = Math.max(0, radius - Math.abs(a - b))
  return Math.min(a, b) - (overlap * overlap) / (4 * radius)
}

/** Angles in degrees about x, y and z, applied in this order. Rows of the matrix that turns body axes to the solid's. */
function rotation(degrees: Vector): readonly number[] {
  const [a, b, c] = degrees.map((angle) => (angle * Math.PI) / 180) as [number, number, number]
  const [ca, sa, cb, sb, cc, sc] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b), Math.cos(c), Math.sin(c)]
  // The transpose of Rz Ry Rx.
  return [
    cb * cc,
    cb * sc,
    -sb,
    sa * sb * cc - ca * sc,
    sa * sb * sc + ca * cc,
    sa * cb,
    ca * sb * cc + sa * sc,
    ca * sb * sc - sa * cc,
    ca * cb,
  ]
}

/** An ellipsoid with the given half axes, turned by `degrees`. The distance is its first-order estimate. */
export function ellipsoid(centre: Vector, axes: Vector, degrees: Vector = [0, 0, 0]): Solid {
  const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = rotation(degrees) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const [cx, cy, cz] = centre
  const [ia, ib, ic] = [1 / axes[0], 1 / axes[1], 1 / axes[2]]
  const smallest = Math.min(...axes)
  const reach: Vector = [
    Math.hypot(m0 * axes[0], m3 * axes[1], m6 * axes[2]),
    Math.hypot(m1 * axes[0], m4 * axes[1], m7 * axes[2]),
    Math.hypot(m2 * axes[0], m5 * axes[1], m8 * axes[2]),
  ]
  return {
    box: { low: subtract(centre, reach), high: add(centre, reach) },
    distance: (x, y, z) => {
      const dx = x - cx
      const dy = y - cy
      const dz = z - cz
      const u = (m0 * dx + m1 * dy + m2 * dz) * ia
      const v = (m3 * dx + m4 * dy + m5 * dz) * ib
      const w = (m6 * dx + m7 * dy + m8 * dz) * ic
      const size = Math.sqrt(u * u + v * v + w * w)
      const slope = Math.sqrt(u * u * ia * ia + v * v * ib * ib + w * w * ic * ic)
      return slope > 1e-9 ? (size * (size - 1)) / slope : -smallest
    },
  }
}

/**
 * A rod with round ends whose radius goes from `radiusA` to `radiusB`.
 * @param flatness below 1 makes it higher (along z) than it is wide, as ribs are
 */
export function rod(a: Vector, b: Vector, radiusA: number, radiusB: number, flatness = 1): Solid {
  const [ax, ay, az] = a
  const [bx, by] = [b[0] - ax, b[1] - ay]
  const bz = (b[2] - az) * flatness
  const perLength = 1 / Math.max(1e-9, bx * bx + by * by + bz * bz)
  const growth = radiusB - radiusA
  const reach = (radius: number): Vector => [radius, radius, radius / flatness]
  return {
    box: joinBoxes([around(a, reach(radiusA)), around(b, reach(radiusB))]),
    radius: Math.min(radiusA, radiusB),
    distance: (x, y, z) => {
      const dx = x - ax
      const dy = y - ay
      const dz = (z - az) * flatness
      const t = Math.max(0, Math.min(1, (dx * bx + dy * by + dz * bz) * perLength))
      const ex = dx - t * bx
      const ey = dy - t * by
      const ez = dz - t * bz
      return Math.sqrt(ex * ex + ey * ey + ez * ez) - radiusA - t * growth
    },
  }
}

/** A solid cut to where another condition also holds: the larger of two distances. */
export function cut(solid: Solid, condition: Distance): Solid {
  const { box, distance } = solid
  return { box, distance: (x, y, z, wall) => Math.max(distance(x, y, z, wall), condition(x, y, z, wall)) }
}

/** The same solid with its surface moved inwards by `depth` millimetres. */
export function shrunk(solid: Solid, depth: number): Solid {
  const { box, distance, radius } = solid
  const inner = { box, distance: ((x, y, z, wall) => distance(x, y, z, wall) + depth) as Distance }
  return radius === undefined ? inner : { ...inner, radius: radius - depth }
}

/** The same solid with its surface moved outwards. */
export function grown(solid: Solid, by: number): Solid {
  const { low, high } = solid.box
  const { distance } = solid
  return {
    box: { low: add(low, [-by, -by, -by]), high: add(high, [by, by, by]) },
    distance: (x, y, z, wall) => distance(x, y, z, wall) - by,
  }
}

function around(point: Vector, reach: Vector): Box {
  return { low: subtract(point, reach), high: add(point, reach) }
}

/** The smallest box that holds all of them. */
export function joinBoxes(boxes: readonly Box[]): Box {
  const extreme = (pick: (...values: number[]) => number, side: keyof Box): Vector => [
    pick(...boxes.map((box) => box[side][0])),
    pick(...boxes.map((box) => box[side][1])),
    pick(...boxes.map((box) => box[side][2])),
  ]
  return { low: extreme(Math.min, 'low'), high: extreme(Math.max, 'high') }
}

/** A point of a tube's axis and the tube's radius there. */
export type Station = readonly [x: number, y: number, z: number, radius: number]

/** Rods along a smooth curve through the stations (Catmull and Rom), `pieces` of them between two stations. */
export function tube(stations: readonly Station[], pieces = 4, flatness = 1): Solid[] {
  const points = curve(stations, pieces)
  return points.slice(1).map((point, i) => {
    const before = points[i]!
    return rod([before[0], before[1], before[2]], [point[0], point[1], point[2]], before[3], point[3], flatness)
  })
}

/** Stations on the smooth curve through the given ones. */
export function curve(stations: readonly Station[], pieces: number): Station[] {
  const points: Station[] = [stations[0]!]
  for (let i = 0; i + 1 < stations.length; i++) {
    const [p0, p1, p2, p3] = [
      stations[i - 1] ?? stations[i]!,
      stations[i]!,
      stations[i + 1]!,
      stations[i + 2] ?? stations[i + 1]!,
    ]
    for (let piece = 1; piece <= pieces; piece++) {
      const t = piece / pieces
      const at = (axis: 0 | 1 | 2 | 3): number =>
        0.5 *
        (2 * p1[axis] +
          (p2[axis] - p0[axis]) * t +
          (2 * p0[axis] - 5 * p1[axis] + 4 * p2[axis] - p3[axis]) * t * t +
          (3 * p1[axis] - p0[axis] - 3 * p2[axis] + p3[axis]) * t * t * t)
      points.push([at(0), at(1), at(2), mix(p1[3], p2[3], t)])
    }
  }
  return points
}

/** A function through given (place, value) pairs, straight between them and level beyond; places ascend. */
export function profile(...pairs: readonly (readonly [place: number, value: number])[]): (place: number) => number {
  return (place) => {
    let above = 0
    while (above < pairs.length && pairs[above]![0] < place) above++
    if (above === 0) return pairs[0]![1]
    if (above === pairs.length) return pairs.at(-1)![1]
    const [p, v] = pairs[above - 1]!
    const [q, w] = pairs[above]!
    return v + ((w - v) * (place - p)) / (q - p)
  }
}
