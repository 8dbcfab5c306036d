import { type Patient, Variation } from './patient.js'
import { add, type Solid, type Station, tube, type Vector } from './shapes.js'
import { type Part, part, spineDepth } from './skeleton.js'

/** Where the trees inside the lungs begin: the ends of the vessels and airways painted here. */
export interface Hilum {
  readonly artery: Vector
  readonly vein: Vector
  readonly bronchus: Vector
}

/** Aorta with the arteries to head and arms, hollow veins, pulmonary trunk, trachea and main bronchi, oesophagus. */
export function mediastinum(patient: Patient): { parts: Part[]; hila: { right: Hilum; left: Hilum } } {
  const { aorta, greatVessels, airwayWall, airwayLumen, oesophagus } = patient.tissues
  const vary = new Variation(patient, 'mediastinum')
  const at = vary.shift(2.5)
  const width = 1 + vary.by(0.07)
  const arch = vary.by(4)
  const place = ([x, y, z, r]: Station, size = width): Station => [x + at[0], y + at[1], z + at[2], r * size]
  const along = (z: number, x: number, front: number, r: number): Station => [x, spineDepth(z) - front, z, r]

  const hila = {
    right: { artery: [-44, -4, 84], vein: [-34, 0, 56], bronchus: [-38, 12, 88] },
    left: { artery: [48, 8, 92], vein: [42, 2, 58], bronchus: [46, 16, 82] },
  } satisfies Record<string, Hilum>

  const aortic: Station[] = [
    [4, -30, 52, 15],
    [-6, -42, 82, 16.5],
    [-13, -44, 108, 16],
    [-8, -34, 132 + arch, 15],
    [8, -10, 145 + arch, 14],
    [21, 16, 138 + arch, 13.5],
    [26, 33, 118, 12.5],
    along(90, 25, 19, 12.5),
    along(45, 21, 23, 12),
    along(0, 14, 27, 11.5),
    along(-50, 6, 29, 11),
    along(-110, 3, 29, 9.5),
    along(-230, 2, 29, 8.5),
  ]
  const vessels: Station[][] = [
    // Superior and inferior vena cava.
    [
      [-27, -36, 142, 9],
      [-29, -34, 105, 9.5],
      [-30, -30, 62, 10.5],
    ],
    [[-27, -10, 8, 11], [-22, 4, -20, 11], [-18, 9, -60, 11], along(-120, -20, 22, 10.5), along(-230, -20, 22, 10.5)],
    // Brachiocephalic veins.
    [
      [-27, -36, 142, 9],
      [-30, -32, 170, 7.5],
      [-42, -18, 205, 7],
      [-46, -8, 245, 6],
    ],
    [
      [-26, -38, 140, 8],
      [4, -48, 156, 7],
      [30, -36, 172, 7],
      [46, -16, 205, 6.5],
      [48, -4, 245, 6],
    ],
    // Brachiocephalic, left carotid and left subclavian artery.
    [
      [-6, -30, 136 + arch, 7],
      [-16, -22, 168, 6.5],
      [-28, -8, 205, 5],
      [-30, 0, 250, 4],
    ],
    [
      [7, -12, 146 + arch, 5],
      [15, -6, 180, 4],
      [26, -2, 215, 3.8],
      [28, 2, 250, 3.8],
    ],
    [
      [19, 8, 144 + arch, 5.5],
      [28, 14, 180, 5],
      [38, 14, 208, 4.8],
      [70, 4, 216, 4.5],
    ],
    // Pulmonary trunk to the left, and the right artery behind the ascending aorta.
    [
      [16, -52, 58, 14],
      [22, -44, 82, 14],
      [26, -20, 98, 13],
      [...hila.left.artery, 10],
    ],
    [
      [22, -26, 94, 12],
      [2, -16, 92, 10.5],
      [-24, -10, 88, 10],
      [...hila.right.artery, 9],
    ],
    // Pulmonary veins, from the left atrium.
    [
      [-8, 2, 48, 8],
      [...hila.right.vein, 8],
    ],
    [
      [18, 4, 50, 8],
      [...hila.left.vein, 8],
    ],
  ]
  const carina: Vector = [0, 18, 112]
  const airways: Station[][] = [
    [
      [0, 4, 262, 8.5],
      [0, 10, 200, 8.5],
      [1, 14, 150, 8.5],
      [...carina, 8.5],
    ],
    [
      [...carina, 7.5],
      [-18, 16, 99, 7],
      [...hila.right.bronchus, 6],
    ],
    [
      [...carina, 7.2],
      [22, 18, 98, 6.2],
      [...hila.left.bronchus, 5.5],
    ],
  ]
  const gullet: Station[] = [
    [2, 24, 262, 6],
    [4, 27, 200, 6.5],
    [5, 33, 150, 7],
    along(100, 6, 25, 7),
    along(40, 9, 32, 7.5),
    along(-5, 24, 44, 8),
    [42, -2, -34, 9],
  ]

  const solids = (stations: readonly Station[], pieces = 5): Solid[] =>
    tube(
      stations.map((s) => place(s)),
      pieces,
    )
  const wall = (stations: readonly Station[]) => stations.map(([x, y, z, r]) => [x, y, z, r + 1.6] as const)
  const moved = (hilum: Hilum): Hilum => ({
    artery: add(hilum.artery, at),
    vein: add(hilum.vein, at),
    bronchus: add(hilum.bronchus, at),
  })
  return {
    parts: [
      ...solids(gullet).map((solid) => part(oesophagus, solid)),
      ...vessels.flatMap((stations) => solids(stations).map((solid) => part(greatVessels, solid))),
      ...solids(aortic).map((solid) => part(aorta, solid)),
      ...airways.flatMap((stations) => solids(wall(stations)).map((solid) => part(airwayWall, solid))),
      ...airways.flatMap((stations) => solids(stations).map((solid) => part(airwayLumen, solid))),
    ],
    hila: { right: moved(hila.right), left: moved(hila.left) },
  }
}
