import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Extents } from '../../src/extents.js'
import type { Progress } from '../../src/progress.js'
import { Random } from '../../src/random.js'
import type { PreparedScan } from '../../src/volumes/index.js'

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'semgen-discovery-'))

export interface BodyOptions {
  readonly shape?: Extents
  readonly spacing?: Extents
  /** The body box, in voxels. */
  readonly low?: Extents
  readonly high?: Extents
  readonly split?: PreparedScan['split']
  readonly modality?: PreparedScan['modality']
  readonly seed?: number
}

/** Bright balls in a body, at these parts of its box: their radius in parts of it, and their brightness. */
export const organs = [
  { at: [0.25, 0.3, 0.3], radius: 0.14, level: 0.95 },
  { at: [0.7, 0.35, 0.55], radius: 0.2, level: 0.75 },
  { at: [0.4, 0.7, 0.75], radius: 0.17, level: 0.68 },
] as const

/** A patient: a box of soft tissue in air with the organs at about their places, and noise. */
export function body(id: string, options: BodyOptions = {}): PreparedScan {
  const { shape = [32, 32, 32], spacing = [2, 2, 2], split = 'train', modality = 'ct', seed = 1 } = options
  const low = options.low ?? [3, 3, 3]
  const high = options.high ?? [shape[0] - 3, shape[1] - 3, shape[2] - 3]
  const random = new Random(seed, 'test/body')
  const placed = organs.map(({ at, radius, level }) => ({
    at: at.map((part) => part + random.uniform(-0.02, 0.02)),
    radius,
    level,
  }))
  const voxels = new Uint16Array(shape[0] * shape[1] * shape[2])
  for (let x = 0, i = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++) {
        const part = [x, y, z].map((at, axis) => (at + 0.5 - low[axis]!) / (high[axis]! - low[axis]!))
        if (part.some((p) => p < 0 || p > 1)) continue
        let level = 0.5
        for (const organ of placed)
          if (Math.hypot(...organ.at.map((centre, axis) => part[axis]! - centre)) < organ.radius) level = organ.level
        voxels[i] = 65535 * (level + random.uniform(-0.02, 0.02))
      }
  return {
    id,
    path: `${id}.nii.gz`,
    patient: id,
    split,
    modality,
    shape,
    spacing,
    affine: [spacing[0], 0, 0, 0, 0, spacing[1], 0, 0, 0, 0, spacing[2], 0, 0, 0, 0, 1],
    window: modality === 'ct' ? [-1000, 1000] : [0, 1],
    voxels,
    body: { low, high },
  }
}

/** Patients of other sizes, voxel sizes and fields of view; the last two are held out. */
export function bodies(count = 8): PreparedScan[] {
  return Array.from({ length: count }, (_, i) => {
    const extent = 28 + 2 * (i % 4)
    const margin = 2 + (i % 3)
    return body(`p${i}`, {
      shape: [extent, extent, extent],
      spacing: [2, 2, i % 2 ? 2 : 2.5],
      low: [margin, 2, 3],
      high: [extent - 2, extent - margin, extent - 2],
      split: i < count - 2 ? 'train' : 'validation',
      seed: i + 1,
    })
  })
}

/** Keeps what is said. */
export function listener(): Progress & { said: string[]; warned: string[] } {
  const said: string[] = []
  const warned: string[] = []
  return {
    said,
    warned,
    say: (line) => said.push(line),
    warn: (line) => warned.push(line),
    begin: () => ({ advance() {}, end() {} }),
  }
}
