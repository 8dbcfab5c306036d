import type { Chest } from './chest.js'
import { type Patient, Variation } from './patient.js'
import {
  add,
  cut,
  type Distance,
  grown,
  joinBoxes,
  type Solid,
  type Station,
  shrunk,
  smoothUnion,
  tube,
  type Vector,
} from './shapes.js'
import { type Part, part, spineDepth } from './skeleton.js'

/** The heart in its fat, above the diaphragm: four chambers with blood, around them muscle. */
export function heart(patient: Patient, chest: Chest): Part[] {
  const { pericardialFat, myocardium, heartBlood } = patient.tissues
  const vary = new Variation(patient, 'heart')
  const centre = add([17, -36, 30], vary.shift(3.5))
  const size = 1 + vary.by(0.06)
  const tilt: Vector = [vary.by(4), 32 + vary.by(5), -38 + vary.by(5)]
  // The long axis runs to the left, the front and down.
  const place = (at: Vector): Vector => add(centre, turned(at, tilt, size))
  const solid = (at: Vector, axes: Vector): Solid =>
    vary.ellipsoid(place(at), [axes[0] * size, axes[1] * size, axes[2] * size], tilt, 0.8)
  const room: Distance = (x, y, z, wall) => Math.max(wall + 6, chest.aboveDiaphragm(x, y, z, wall) + 3)
  const sac = cut(solid([0, 0, 0], [71, 52, 54]), room)
  const inner = cut(solid([0, 0, 0], [67, 48, 50]), (x, y, z, wall) => room(x, y, z, wall) + 3)
  const chambers = [
    solid([20, 8, 2], [32, 15, 17]), // left ventricle
    solid([12, -25, -4], [32, 10, 21]), // right ventricle
    solid([-38, -10, -6], [17, 20, 24]), // right atrium
    solid([-30, 24, 8], [17, 13, 21]), // left atrium
  ]
  return [
    part(pericardialFat, grown(sac, 1)),
    part(myocardium, inner),
    ...chambers.map((chamber) => part(heartBlood, cut(chamber, shrunk(inner, 2.5).distance))),
  ]
}

/** Turns a vector from the axes of a solid to the body's. */
function turned(at: Vector, degrees: Vector, size: number): Vector {
  const [a, b, c] = degrees.map((angle) => (angle * Math.PI) / 180) as [number, number, number]
  let [x, y, z] = at
  ;[y, z] = [y * Math.cos(a) - z * Math.sin(a), y * Math.sin(a) + z * Math.cos(a)]
  ;[x, z] = [x * Math.cos(b) + z * Math.sin(b), -x * Math.sin(b) + z * Math.cos(b)]
  ;[x, y] = [x * Math.cos(c) - y * Math.sin(c), x * Math.sin(c) + y * Math.cos(c)]
  return [x * size, y * size, z * size]
}

/** Liver with its vessels and the gallbladder, spleen, stomach, kidneys, pancreas, bowel, and the muscles of the loins. */
export function belly(patient: Patient, chest: Chest): Part[] {
  const inside =
    (depth: number): Distance =>
    (x, y, z, wall) =>
      Math.max(wall + depth, chest.belowDiaphragm(x, y, z, wall) + depth * 0.6)
  return [
    ...loins(patient),
    ...bowel(patient, inside(10)),
    ...stomach(patient, inside(6)),
    ...liver(patient, inside(4)),
    ...spleen(patient, inside(5)),
    ...kidneys(patient, inside(8)),
    ...pancreas(patient),
  ]
}

function liver(patient: Patient, room: Distance): Part[] {
  const { liver, liverVessels, gallbladder } = patient.tissues
  const vary = new Variation(patient, 'liver')
  const at = vary.shift(4)
  const right = vary.ellipsoid(add([-70, -2, -70], at), [70, 90, 82], [0, 8, 0], 2)
  const left = vary.ellipsoid(add([2, -46, -36], at), [84, 36, 28], [0, 13, 8], 3)
  const whole: Solid = cut(
    {
      box: joinBoxes([right.box, left.box]),
      distance: (x, y, z, wall) => smoothUnion(right.distance(x, y, z, wall), left.distance(x, y, z, wall), 18),
    },
    room,
  )
  const inside = shrunk(whole, 7).distance
  const vessel = (...stations: Station[]): Part[] =>
    tube(
      stations.map(([x, y, z, r]) => [x + at[0], y + at[1], z + at[2], r] as Station),
      4,
    ).map((solid) => part(liverVessels, cut(solid, inside)))
  return [
    part(liver, whole),
    // Portal vein and its right and left branch.
    ...vessel([-22, -12, -92, 7], [-38, -12, -76, 7], [-62, -6, -72, 5], [-92, 4, -80, 3]),
    ...vessel([-38, -14, -76, 6], [-16, -42, -60, 4.5], [18, -52, -46, 3]),
    // Hepatic veins, to the vena cava.
    ...vessel([-20, 4, -26, 5.5], [-62, 12, -44, 4.5], [-102, 22, -72, 2.5]),
    ...vessel([-20, 2, -26, 5], [-48, -26, -40, 4], [-72, -52, -66, 2.5]),
    ...vessel([-18, 0, -26, 5], [6, -36, -34, 3.5], [24, -56, -40, 2.5]),
    part(gallbladder, vary.ellipsoid(add([-42, -52, -112], at), [14, 13, 27], [18, 0, 0], 4)),
  ]
}

function spleen(patient: Patient, room: Distance): Part[] {
  const vary = new Variation(patient, 'spleen')
  const solid = vary.ellipsoid([92, 36, -62], [34, 56, 52], [-20, 0, 26])
  // Its inner face is hollow where stomach and kidney lie.
  const hollow = vary.ellipsoid([56, 18, -72], [32, 40, 60], [0, 0, 20], 2)
  return [
    part(
      patient.tissues.spleen,
      cut(
        cut(solid, (x, y, z, wall) => -hollow.distance(x, y, z, wall)),
        room,
      ),
    ),
  ]
}

/** In a patient on their back the stomach's gas rises to the front, above a level of fluid. */
function stomach(patient: Patient, room: Distance): Part[] {
  const { stomachWall, stomachFluid, stomachGas } = patient.tissues
  const vary = new Variation(patient, 'stomach')
  const fullness = 1 + vary.by(0.14)
  const at = vary.shift(4)
  const solids = tube(
    (
      [
        [58, 12, -40, 30],
        [62, -14, -60, 29],
        [50, -46, -88, 23],
        [18, -58, -112, 17],
        [-12, -46, -112, 12],
      ] as const
    ).map(([x, y, z, r]) => [x + at[0], y + at[1], z + at[2], r * fullness] as Station),
    3,
  )
  const whole = cut(
    {
      box: joinBoxes(solids.map((solid) => solid.box)),
      distance: (x, y, z, wall) => Math.min(...solids.map((solid) => solid.distance(x, y, z, wall))),
    },
    room,
  )
  const lumen = shrunk(whole, 3.5)
  const level = -24 + vary.by(12)
  return [
    part(stomachWall, whole),
    part(stomachFluid, lumen),
    part(
      stomachGas,
      cut(lumen, (_x, y) => y - level),
    ),
  ]
}

function kidneys(patient: Patient, room: Distance): Part[] {
  const { viscusFat, rightKidney, leftKidney } = patient.tissues
  const vary = new Variation(patient, 'kidneys')
  return ([-1, 1] as const).flatMap((side) => {
    const centre = add([side * 57, 44, side < 0 ? -128 : -114], vary.shift(4))
    const body = vary.ellipsoid(centre, [26, 25, 54], [-10, side * 12, side * 24], 0)
    const sinus = vary.ellipsoid(add(centre, [-side * 19, -9, 0]), [16, 9, 22], [-10, side * 12, side * 24], 1)
    return [
      part(
        viscusFat,
        cut(grown(body, 9), (x, y, z, wall) => room(x, y, z, wall) - 5),
      ),
      part(side < 0 ? rightKidney : leftKidney, body),
      part(viscusFat, sinus),
    ]
  })
}

function pancreas(patient: Patient): Part[] {
  const vary = new Variation(patient, 'pancreas')
  const size = 1 + vary.by(0.1)
  const at = vary.shift(3)
  const stations = (
    [
      [-26, -20, -122, 12],
      [-16, -26, -106, 12],
      [8, -28, -98, 9],
      [36, -8, -90, 9],
      [66, 18, -80, 8],
    ] as const
  ).map(([x, y, z, r]) => [x + at[0], y + at[1], z + at[2], r * size] as Station)
  return tube(stations, 3).map((solid) => part(patient.tissues.pancreas, solid))
}

/** Psoas muscles beside the lumbar spine. */
function loins(patient: Patient): Part[] {
  const { muscle } = patient.tissues
  return [-1, 1].flatMap((side) =>
    tube(
      [
        [side * 26, spineDepth(-72) + 6, -72, 5],
        [side * 34, spineDepth(-110) + 4, -110, 13 * patient.muscle],
        [side * 44, spineDepth(-160) + 4, -160, 21 * patient.muscle],
        [side * 54, spineDepth(-230), -230, 25 * patient.muscle],
      ],
      3,
    ).map((solid) => part(muscle, solid)),
  )
}

/** The colon's frame, in pouches, and small bowel between; gas lies in front. */
function bowel(patient: Patient, room: Distance): Part[] {
  const { bowelWall, bowelContent, bowelGas } = patient.tissues
  const vary = new Variation(patient, 'bowel')
  const colon: Station[] = [
    [-88, 18, -250, 22],
    [-90, 12, -190, 22],
    [-84, -8, -150, 21],
    [-46, -58, -148, 18],
    [8, -70, -146, 17],
    [62, -58, -130, 18],
    [92, -24, -104, 17],
    [98, 8, -96, 15],
    [98, 24, -150, 14],
    [94, 24, -250, 14],
  ]
  const small: Station[] = Array.from({ length: 14 }, (_, i) => [
    54 * Math.sin(i * 2.1 + vary.by(0.5)),
    -22 + vary.by(16),
    -150 - i * 9 + vary.by(6),
    12 + vary.by(1.2),
  ])
  const walls: Part[] = []
  const contents: Part[] = []
  for (const [stations, pieces] of [
    [small, 4],
    [colon, 5],
  ] as const)
    for (const [i, solid] of tube(stations, pieces).entries()) {
      // Every other piece is a little wider: the colon's pouches.
      const pouch = cut(grown(solid, stations === colon ? (i % 2) * 3.5 + vary.by(1) : vary.by(0.8)), room)
      const lumen = shrunk(pouch, 3)
      walls.push(part(bowelWall, pouch))
      contents.push(part(bowelContent, lumen))
      if (!vary.chance(stations === colon ? 0.55 : 0.12)) continue
      const level = (solid.box.low[1] + solid.box.high[1]) / 2 + vary.by(4)
      contents.push(
        part(
          bowelGas,
          cut(lumen, (_x, y) => y - level),
        ),
      )
    }
  return [...walls, ...contents]
}
