import { Random } from '../random.js'
import { type Acquisition, surroundings } from './acquisition.js'
import type { Anatomy } from './anatomy.js'
import type { BodyFrame } from './frame.js'
import type { PlacedNodule } from './nodules.js'
import type { Patient } from './patient.js'
import type { Box, Distance, Vector } from './shapes.js'
import type { Tissue } from './tissues.js'
import { skinThickness } from './torso.js'

/** Something to paint, with the voxels it may touch. */
interface Job {
  readonly tissue: Tissue
  readonly distance: Distance
  /** Share of a voxel that is reached at most: below 1 for what is thinner than a voxel. */
  readonly opacity: number
  /** First and last voxel along x, y and z. */
  readonly first: readonly number[]
  readonly last: readonly number[]
  readonly inWorld: boolean
}

/** Millimetres between nodes of the field of uneven tissue. */
const textureSpacing = 11

/**
 * Paints one scan, a sagittal plane (all y and z of one x) at a time, so that a large scan needs no more memory than its
 * result. Edges are soft: a voxel that a surface cuts gets its share of both sides, as a scanner measures it.
 */
export class Painter {
  readonly #acquisition: Acquisition
  readonly #anatomy: Anatomy
  readonly #frame: BodyFrame
  readonly #tissues: Patient['tissues']
  /** By plane, in the order of painting. */
  readonly #jobs: readonly Job[][]
  readonly #softness: number
  /** Body coordinates and distance to the inner wall of the plane's voxels. */
  readonly #x: Float32Array
  readonly #y: Float32Array
  readonly #z: Float32Array
  readonly #wall: Float32Array
  readonly #texture: Float32Array
  readonly #unevenness: Unevenness
  /** The plane's HU, (y, z) with z fastest. */
  readonly hu: Float32Array
  /** How deep the plane's voxels lie in the body: 0 at the skin and outside, 1 at the axis. */
  readonly depth: Float32Array

  constructor(
    patient: Patient,
    anatomy: Anatomy,
    frame: BodyFrame,
    acquisition: Acquisition,
    nodules: readonly PlacedNodule[],
  ) {
    this.#acquisition = acquisition
    this.#anatomy = anatomy
    this.#frame = frame
    this.#tissues = patient.tissues
    const { spacing, shape } = acquisition
    this.#softness = Math.cbrt(spacing[0] * spacing[1] * spacing[2])
    const inBody = anatomy.parts.map(({ tissue, solid }): Job => {
      const opacity = solid.radius === undefined ? 1 : thinness(solid.radius, this.#softness)
      return { tissue, distance: solid.distance, opacity, ...this.#reach(solid.box, true), inWorld: false }
    })
    const inWorld = nodules.map(
      ({ tissue, solid }): Job => ({
        tissue,
        distance: solid.distance,
        opacity: 1,
        ...this.#reach(solid.box, false),
        inWorld: true,
      }),
    )
    this.#jobs = Array.from({ length: shape[0] }, () => [])
    for (const job of [...inBody, ...inWorld]) {
      if (job.first.some((first, axis) => first > job.last[axis]!)) continue
      for (let i = job.first[0]!; i <= job.last[0]!; i++) this.#jobs[i]!.push(job)
    }
    const size = shape[1] * shape[2]
    this.#x = new Float32Array(size)
    this.#y = new Float32Array(size)
    this.#z = new Float32Array(size)
    this.#wall = new Float32Array(size)
    this.#texture = new Float32Array(size)
    this.hu = new Float32Array(size)
    this.depth = new Float32Array(size)
    this.#unevenness = new Unevenness(patient, acquisition)
  }

  /** Paints plane `i` into `hu` and `depth`, and its labels into `labels` (y, z). */
  paint(i: number, labels: Uint8Array): void {
    this.#locate(i)
    this.#unevenness.plane(i, this.#texture)
    this.#paintTorso(i, labels)
    for (const job of this.#jobs[i]!) this.#paintJob(job, i, labels)
  }

  /** The voxels that a box may touch. Its corners are bent into the world, and what lies between bends a little more. */
  #reach({ low, high }: Box, inBody: boolean): { first: number[]; last: number[] } {
    const { origin, spacing, shape } = this.#acquisition
    const lowest = [Infinity, Infinity, Infinity]
    const highest = [-Infinity, -Infinity, -Infinity]
    for (let corner = 0; corner < 8; corner++) {
      const at: Vector = [corner & 1 ? high[0] : low[0], corner & 2 ? high[1] : low[1], corner & 4 ? high[2] : low[2]]
      const world = inBody ? this.#frame.toWorld(at) : at
      for (let axis = 0; axis < 3; axis++) {
        lowest[axis] = Math.min(lowest[axis]!, world[axis]!)
        highest[axis] = Math.max(highest[axis]!, world[axis]!)
      }
    }
    const size = Math.max(high[0] - low[0], high[1] - low[1], high[2] - low[2])
    const slack = this.#softness * 0.7 + (inBody ? Math.min(8, 0.5 + 0.05 * size) : 0)
    return {
      first: lowest.map((value, axis) => Math.max(0, Math.ceil((value - slack - origin[axis]!) / spacing[axis]!))),
      last: highest.map((value, axis) =>
        Math.min(shape[axis]! - 1, Math.floor((value + slack - origin[axis]!) / spacing[axis]!)),
      ),
    }
  }

  /** Body coordinates of plane `i`: exact but for bending, which is interpolated between nodes about 11 mm apart. */
  #locate(i: number): void {
    const { origin, spacing, shape } = this.#acquisition
    const [, Y, Z] = shape
    const stepY = Math.max(1, Math.round(11 / spacing[1]))
    const stepZ = Math.max(1, Math.round(11 / spacing[2]))
    const rows = Math.ceil((Y - 1) / stepY) + 1
    const columns = Math.ceil((Z - 1) / stepZ) + 1
    const bends = new Float32Array(rows * columns * 3)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        this.#frame.bend(
          origin[0] + i * spacing[0],
          origin[1] + row * stepY * spacing[1],
          origin[2] + column * stepZ * spacing[2],
          bends,
          (row * columns + column) * 3,
        )
    const line = new Float32Array(columns * 3)
    const upwards = this.#frame.straight([0, 0, spacing[2]])[2] - this.#frame.straight([0, 0, 0])[2]
    for (let j = 0, index = 0; j < Y; j++) {
      const row = Math.min(rows - 2, Math.floor(j / stepY))
      const v = rows > 1 ? j / stepY - row : 0
      for (let n = 0; n < line.length; n++) {
        const below = bends[Math.max(0, row) * columns * 3 + n]!
        line[n] = rows > 1 ? below + (bends[(row + 1) * columns * 3 + n]! - below) * v : below
      }
      const [x, y, z] = this.#frame.straight([origin[0] + i * spacing[0], origin[1] + j * spacing[1], origin[2]])
      for (let k = 0; k < Z; k++, index++) {
        const column = Math.max(0, Math.min(columns - 2, Math.floor(k / stepZ)))
        const w = columns > 1 ? k / stepZ - column : 0
        const a = column * 3
        const b = columns > 1 ? a + 3 : a
        this.#x[index] = x + line[a]! + (line[b]! - line[a]!) * w
        this.#y[index] = y + line[a + 1]! + (line[b + 1]! - line[a + 1]!) * w
        this.#z[index] = z + k * upwards + line[a + 2]! + (line[b + 2]! - line[a + 2]!) * w
      }
    }
  }

  /** Air, table, skin, fat and muscle, and fat inside the wall. */
  #paintTorso(i: number, labels: Uint8Array): void {
    const { origin, spacing, shape, table } = this.#acquisition
    const { torso } = this.#anatomy
    const { skin, fat, muscle, viscusFat } = this.#tissues
    const perSoftness = 1 / this.#softness
    const far = torso.reach + 2 * this.#softness
    const [, Y, Z] = shape
    for (let j = 0, index = 0; j < Y; j++) {
      const around = surroundings(table, origin[0] + i * spacing[0], origin[1] + j * spacing[1], this.#softness)
      for (let k = 0; k < Z; k++, index++) {
        const x = this.#x[index]!
        const y = this.#y[index]!
        let hu = around
        let label = 0
        let wall = 1000
        let depth = 0
        if (x * x + y * y < far * far) {
          const at = torso.at(x, y, this.#z[index]!)
          wall = at.wall
          if (at.skin < this.#softness) {
            const uneven = this.#texture[index]!
            const inSkin = share(at.skin, perSoftness)
            const inFat = share(at.skin + skinThickness, perSoftness)
            const inMuscle = share(at.muscle, perSoftness)
            const inCavity = share(wall, perSoftness)
            hu += (skin.hu + skin.texture * uneven - hu) * inSkin
            hu += (fat.hu + fat.texture * uneven - hu) * inFat
            hu += (muscle.hu + muscle.texture * uneven - hu) * inMuscle
            hu += (viscusFat.hu + viscusFat.texture * uneven - hu) * inCavity
            label =
              inCavity >= 0.5
                ? viscusFat.label
                : inMuscle >= 0.5
                  ? muscle.label
                  : inFat >= 0.5
                    ? fat.label
                    : inSkin >= 0.5
                      ? skin.label
                      : 0
            depth = at.skin < 0 ? -at.skin / (Math.sqrt(x * x + y * y) - at.skin) : 0
          }
        }
        this.#wall[index] = wall
        this.hu[index] = hu
        this.depth[index] = depth
        labels[index] = label
      }
    }
  }

  #paintJob({ tissue, distance, opacity, first, last, inWorld }: Job, i: number, labels: Uint8Array): void {
    const { origin, spacing, shape } = this.#acquisition
    const Z = shape[2]
    const [xs, ys, zs, walls, textures, hus] = [this.#x, this.#y, this.#z, this.#wall, this.#texture, this.hu]
    const perSoftness = 1 / this.#softness
    const { hu, texture, gravity, label } = tissue
    const worldX = origin[0] + i * spacing[0]
    for (let j = first[1]!; j <= last[1]!; j++) {
      const worldY = origin[1] + j * spacing[1]
      const end = j * Z + last[2]!
      for (let index = j * Z + first[2]!; index <= end; index++) {
        const at = inWorld
          ? distance(worldX, worldY, origin[2] + (index - j * Z) * spacing[2], 0)
          : distance(xs[index]!, ys[index]!, zs[index]!, walls[index]!)
        const reached = (0.5 - at * perSoftness) * opacity
        if (reached <= 0) continue
        const value = hu + texture * textures[index]! + gravity * ys[index]!
        if (reached >= 1) hus[index] = value
        else hus[index]! += (value - hus[index]!) * reached
        if (reached >= 0.5) labels[index] = label
      }
    }
  }
}

/** The share of a voxel that lies inside a surface at this distance. */
function share(distance: number, perSoftness: number): number {
  const inside = 0.5 - distance * perSoftness
  return inside <= 0 ? 0 : inside >= 1 ? 1 : inside
}

/**
 * What a thin rod's soft edge is multiplied with, so that as much is painted as the rod holds. Across the rod, the edge
 * of width h makes a cone of radius r + h/2 and height 1/2 + r/h; the rod is a disc of radius r. Labels need no care:
 * what is thinner than a voxel marks none.
 */
export function thinness(radius: number, voxel: number): number {
  if (radius <= 0) return 0
  if (radius >= voxel / 2) return 1
  return Math.min(1, (3 * radius * radius) / ((radius + voxel / 2) ** 2 * (0.5 + radius / voxel)))
}

/** A smooth random field of standard deviation 1 at its nodes, straight between them. */
class Unevenness {
  readonly #acquisition: Acquisition
  readonly #nodes: readonly [number, number, number]
  readonly #values: Float32Array

  constructor(patient: Patient, acquisition: Acquisition) {
    this.#acquisition = acquisition
    const { shape, spacing } = acquisition
    this.#nodes = [0, 1, 2].map((axis) => Math.ceil((shape[axis]! * spacing[axis]!) / textureSpacing) + 2) as [
      number,
      number,
      number,
    ]
    const random = new Random(patient.seed, 'phantom unevenness', patient.index)
    this.#values = Float32Array.from({ length: this.#nodes[0] * this.#nodes[1] * this.#nodes[2] }, () =>
      random.normal(),
    )
  }

  plane(i: number, into: Float32Array): void {
    const { shape, spacing } = this.#acquisition
    const [, rows, columns] = this.#nodes
    const at = (i * spacing[0]) / textureSpacing
    const slab = Math.floor(at) * rows * columns
    const u = at - Math.floor(at)
    const line = new Float32Array(columns)
    for (let j = 0, index = 0; j < shape[1]; j++) {
      const row = (j * spacing[1]) / textureSpacing
      const v = row - Math.floor(row)
      const start = slab + Math.floor(row) * columns
      for (let n = 0; n < columns; n++) {
        const a = this.#values[start + n]!
        const b = this.#values[start + columns + n]!
        const c = this.#values[start + rows * columns + n]!
        const d = this.#values[start + rows * columns + columns + n]!
        line[n] = (a * (1 - v) + b * v) * (1 - u) + (c * (1 - v) + d * v) * u
      }
      for (let k = 0; k < shape[2]; k++, index++) {
        const column = (k * spacing[2]) / textureSpacing
        const n = Math.floor(column)
        into[index] = line[n]! + (line[n + 1]! - line[n]!) * (column - n)
      }
    }
  }
}
