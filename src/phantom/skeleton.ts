import { type Patient, Variation } from './patient.js'
import {
  add,
  cut,
  type Distance,
  ellipsoid,
  mirrored,
  mix,
  profile,
  rod,
  type Solid,
  type Station,
  shrunk,
  smoothStep,
  smoothUnion,
  tube,
  type Vector,
} from './shapes.js'
import type { Tissue, Tissues } from './tissues.js'
import type { Torso } from './torso.js'

/** A solid and what fills it. Later ones are painted over earlier ones. */
export interface Part {
  readonly tissue: Tissue
  readonly solid: Solid
}

export const part = (tissue: Tissue, solid: Solid): Part => ({ tissue, solid })

/** Levels of the middles of the vertebrae, from L5 up to C5. */
const vertebraLevels = [
  -216, -182, -148, -115, -83, -52, -23, 5, 31, 56, 80, 103, 126, 148, 170, 191, 211, 230, 246, 262,
]
const firstThoracic = 16

/** How far back the middle of a vertebral body is: the chest's curve outwards, the loins' inwards. */
export const spineDepth = profile(
  [-220, 38],
  [-182, 33],
  [-148, 31],
  [-115, 33],
  [-83, 37],
  [-52, 43],
  [0, 52],
  [56, 60],
  [103, 62],
  [148, 57],
  [191, 46],
  [230, 32],
  [262, 26],
)
const bodyWidth = profile([-216, 25], [-83, 21], [56, 16.5], [148, 14.5], [230, 12])
const bodyDepth = profile([-216, 17], [-83, 16], [56, 14.5], [148, 12], [230, 9])

/** Vertebrae with discs between, the canal behind the bodies, and arches, transverse and spinous processes around it. */
export function spine(patient: Patient): Part[] {
  const { cortex, marrow, canal, disc } = patient.tissues
  const vary = new Variation(patient, 'spine')
  const size = 1 + vary.by(0.05)
  const parts: Part[] = []
  const canalRadius = 8.5 * (1 + vary.by(0.05))
  const column: Station[] = []
  for (const [i, z] of vertebraLevels.entries()) {
    const above = vertebraLevels[i + 1] ?? z + 16
    const below = vertebraLevels[i - 1] ?? z - 34
    const y = spineDepth(z)
    const [a, b] = [bodyWidth(z) * size, bodyDepth(z) * size]
    const gap = (above - z) * 0.16
    const top = (above - z) / 2 - gap / 2
    const bottom = (z - below) / 2 - ((z - below) * 0.16) / 2
    const body = vertebralBody([0, y, z + (top - bottom) / 2], a, b, (top + bottom) / 2)
    const between = (z + above) / 2
    parts.push(part(disc, vertebralBody([0, spineDepth(between), between], a * 0.97, b * 0.97, gap / 2 + 0.5)))
    parts.push(part(cortex, body), part(marrow, shrunk(body, 1.6)))
    const back = y + b + canalRadius
    column.push([0, back, z, canalRadius])
    parts.push(...arch(patient.tissues, back, z, canalRadius, a, i))
  }
  parts.push(...tube(column, 2).map((solid) => part(canal, solid)))
  return parts
}

/** A cylinder with an oval cross-section and a waist, as vertebral bodies are. */
function vertebralBody(centre: Vector, a: number, b: number, halfHeight: number): Solid {
  const [cx, cy, cz] = centre
  const smaller = Math.min(a, b)
  return {
    box: { low: [cx - a, cy - b, cz - halfHeight], high: [cx + a, cy + b, cz + halfHeight] },
    distance: (x, y, z) => {
      const u = (x - cx) / a
      const v = (y - cy) / b
      const w = (z - cz) / halfHeight
      const around = (Math.sqrt(u * u + v * v) - 1 + 0.07 * Math.max(0, 1 - w * w)) * smaller
      return Math.max(around, (Math.abs(w) - 1) * halfHeight)
    },
  }
}

/** What surrounds the canal behind a vertebral body. */
function arch(tissues: Tissues, back: number, z: number, canal: number, width: number, index: number): Part[] {
  const thoracic = index >= 5 && index <= firstThoracic
  const ring: Station[] = [-1, -0.75, -0.4, 0, 0.4, 0.75, 1].map((t) => {
    const angle = t * 2.25
    return [(canal + 3.4) * Math.sin(angle), back + (canal + 3.4) * Math.cos(angle), z - 3, 3.4]
  })
  const spinous: [Vector, Vector] = [
    [0, back + canal + 3, z - 4],
    [0, back + canal + (thoracic ? 25 : 23), z - (thoracic ? 21 : 9)],
  ]
  const solids = [...tube(ring, 1), rod(...spinous, 3.6, 4, 0.6)]
  for (const side of [-1, 1]) {
    const tip: Vector = thoracic ? [side * 33, back + 6, z + 4] : [side * (width + 22), back - 6, z]
    solids.push(rod([side * (canal + 4), back - 2, z], tip, 4.2, 3.4, 0.8))
  }
  return shell(solids, tissues.cortex, tissues.marrow, 1.7)
}

/** Bones: compact outside, marrow inside. */
function shell(solids: readonly Solid[], cortex: Tissue, marrow: Tissue, thickness: number): Part[] {
  return [
    ...solids.map((solid) => part(cortex, solid)),
    ...solids.map((solid) => part(marrow, shrunk(solid, thickness))),
  ]
}

/** Millimetres by which the front end of a rib's bone lies below its vertebra, and where that end is, in degrees. */
const ribShapes: readonly (readonly [drop: number, end: number])[] = [
  [36, 146],
  [52, 148],
  [68, 150],
  [84, 150],
  [98, 147],
  [108, 143],
  [114, 138],
  [112, 132],
  [104, 124],
  [92, 115],
  [66, 94],
  [42, 62],
]
/** Levels at which the cartilages of the first seven ribs reach the sternum. */
const sternalLevels = [166, 141, 117, 96, 78, 63, 50]

/** Twelve pairs of ribs on the wall of the chest, cartilages from the upper ten to the front, the sternum. */
export function ribCage(patient: Patient, torso: Torso): Part[] {
  const { ribCortex, ribMarrow, cartilage } = patient.tissues
  const vary = new Variation(patient, 'ribs')
  const steepness = 1 + vary.by(0.08)
  const bones: Solid[] = []
  const cartilages: Solid[] = []
  for (const [i, [drop, end]] of ribShapes.entries()) {
    const z = vertebraLevels[firstThoracic - i]! + 5
    const fall = drop * steepness * (1 + vary.by(0.04))
    for (const side of [-1, 1]) {
      const onWall = (degrees: number, down: number, depth: number): Vector => {
        const angle = (degrees * Math.PI) / 180
        const [dx, dy] = [side * Math.sin(angle), Math.cos(angle)]
        const level = z - down
        const r = torso.wallRadius(dx, dy, level) + depth
        return [dx * r, dy * r, level]
      }
      const thickness = i === 0 ? 4.2 : 4.4
      const stations: Station[] = [
        [side * (bodyWidth(z) + 3), spineDepth(z) + bodyDepth(z) * 0.55, z, thickness * 0.9],
        [side * 32, spineDepth(z) + bodyDepth(z) + 7, z + 1, thickness * 0.9],
      ]
      const start = 36
      const pieces = Math.max(3, Math.round((end - start) / 11))
      let front: Vector = [0, 0, 0]
      for (let piece = 0; piece <= pieces; piece++) {
        const t = piece / pieces
        const degrees = mix(start, end, t)
        front = onWall(degrees, fall * fallAt(degrees / end), 5)
        stations.push([...front, thickness * (t < 0.5 ? 1 : mix(1.05, 1.15, t))])
      }
      bones.push(...tube(stations, 2, 0.68))
      if (i < 10) cartilages.push(...cartilageOf(i, side, front, torso))
    }
  }
  return [
    ...cartilages.map((solid) => part(cartilage, solid)),
    ...shell(bones, ribCortex, ribMarrow, 1.7),
    ...sternum(patient),
  ]
}

/** How much of its fall a rib has behind it: it runs level at first. */
function fallAt(t: number): number {
  return smoothStep(0, 1, t) * 0.55 + t * 0.45
}

/** From the front end of a rib's bone to the sternum; the eighth to tenth lean on the one above. */
function cartilageOf(i: number, side: number, front: Vector, torso: Torso): Solid[] {
  const z = sternalLevels[Math.min(i, 6)]! - Math.max(0, i - 6) * 13
  const x = side * (i < 7 ? 15 : 20 + (i - 6) * 16)
  const onFront = (x: number, z: number): Vector => {
    const r = torso.wallRadius(x / 90, -1, z)
    const size = Math.hypot(x / 90, 1)
    return [(x / 90 / size) * (r + 5), (-1 / size) * (r + 5), z]
  }
  const target = onFront(x, z)
  const middle = onFront((front[0] + x) / 2, mix(front[2], z, 0.38))
  return tube(
    [
      [...front, 4.8],
      [...middle, 4.6],
      [...target, 4.4],
    ],
    4,
    0.8,
  )
}

/** Handle, body and tip of the sternum, on the front of the wall. */
function sternum(patient: Patient): Part[] {
  const { sternumCortex, sternumMarrow } = patient.tissues
  const halfWidth = profile(
    [22, 6],
    [40, 13],
    [60, 17],
    [100, 15],
    [136, 14],
    [144, 19],
    [160, 25],
    [174, 27],
    [180, 20],
  )
  const solid: Solid = {
    box: { low: [-30, -125, 22], high: [30, 0, 180] },
    distance: (x, _y, z, wall) =>
      smoothMax(Math.abs(wall - 6) - 5, Math.max(Math.abs(x) - halfWidth(z), Math.abs(z - 101) - 79), 4),
  }
  const front: Distance = (_x, y) => y
  const inFront = cut(solid, front)
  return shell([inFront], sternumCortex, sternumMarrow, 1.6)
}

const smoothMax = (a: number, b: number, radius: number): number => -smoothUnion(-a, -b, radius)

/** Collar bones, shoulder blades and the heads of the raised arms. */
export function shoulders(patient: Patient, torso: Torso): Part[] {
  const { girdleCortex, girdleMarrow } = patient.tissues
  const vary = new Variation(patient, 'shoulders')
  const lift = vary.by(5)
  const solids: Solid[] = []
  for (const side of [-1, 1]) {
    const place = (at: Vector): Vector => add(side < 0 ? mirrored(at) : at, [0, 0, lift])
    const front = torso.wallRadius(0.2, -1, 176) + 9
    solids.push(
      ...tube(
        [
          [...place([24, -front * 0.97, 174]), 6.5],
          [...place([62, -front * 1.02, 190]), 5.5],
          [...place([104, -30, 208]), 5.5],
          [...place([138, -8, 216]), 6],
        ],
        4,
      ),
      ellipsoid(place([150, 10, 208]), [22, 22, 23]),
      rod(place([157, 2, 226]), place([168, -12, 300]), 14, 12),
      shoulderBlade(side, lift),
      rod(place([84, 88, 168]), place([138, 44, 210]), 4.6, 6.5),
      rod(place([124, 34, 196]), place([136, 26, 202]), 11, 13),
    )
  }
  return shell(solids, girdleCortex, girdleMarrow, 2.2)
}

/** A thin triangular plate that lies on the muscles behind the ribs. */
function shoulderBlade(side: number, lift: number): Solid {
  return {
    box: { low: [side < 0 ? -150 : 55, 10, 88 + lift], high: [side < 0 ? -55 : 150, 125, 205 + lift] },
    distance: (x, y, z, wall) => {
      const out = Math.abs(x)
      const height = z - lift
      const plate = Math.abs(wall - 21) - 2.4
      const inner = 66 + 0.05 * (height - 90) - out
      const outer = out - (82 + 0.42 * (height - 90))
      const flat = Math.max(inner, outer, 90 - height, height - 200, 20 - y)
      return smoothMax(plate, flat, 2)
    },
  }
}
