import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../../src/files.js'
import { Random } from '../../src/random.js'
import { writeVolume } from '../../src/volumes/index.js'
import { zipBytes } from '../../src/weights/torch/zip-writer.js'

export const extents = [12, 10, 14] as const

/** A noisy image; of class 1 with a bright blob somewhere in the middle. */
export function blob(seed: number, bright: boolean): Uint8Array {
  const random = new Random(seed, 'test/blobs')
  const [nx, ny, nz] = extents
  const centre = extents.map((extent) => extent / 2 + random.uniform(-2, 2))
  const image = new Uint8Array(nx * ny * nz)
  for (let x = 0, i = 0; x < nx; x++)
    for (let y = 0; y < ny; y++)
      for (let z = 0; z < nz; z++, i++) {
        const near = Math.hypot(x - centre[0]!, y - centre[1]!, z - centre[2]!) < 3
        image[i] = Math.floor(random.uniform(20, 120) + (bright && near ? 110 : 0))
      }
  return image
}

export interface NpyArray {
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Writes a .npz: uint8 arrays, as numpy.savez does. */
export async function writeNpz(path: string, arrays: Readonly<Record<string, NpyArray>>): Promise<void> {
  const members = Object.entries(arrays).map(([name, { shape, data }]) => {
    const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`
    const header = Buffer.alloc(128, ' ')
    header.write('\x93NUMPY\x01\x00', 'latin1')
    header.writeUInt16LE(118, 8)
    header.write(text, 10, 'latin1')
    header[127] = 10
    const content = Buffer.concat([header, data])
    return { name: `${name}.npy`, bytes: content.length, content: () => content }
  })
  await writeAtomically(path, zipBytes(path, members))
}

/** Archive of so many blobs a part, every `every`-th of class 1. */
export async function writeBlobs(
  path: string,
  counts: { readonly train: number; readonly val: number; readonly test: number },
  every = 2,
): Promise<void> {
  const arrays: Record<string, NpyArray> = {}
  let seed = 0
  for (const [part, count] of Object.entries(counts)) {
    const labels = Uint8Array.from({ length: count }, (_, i) => (i % every === 0 ? 1 : 0))
    const images = [...labels].map((label) => blob(seed++, label === 1))
    arrays[`${part}_images`] = { shape: [count, ...extents], data: Buffer.concat(images) }
    arrays[`${part}_labels`] = { shape: [count, 1], data: labels }
  }
  await writeNpz(path, arrays)
}

/** The same as volumes, b0, b1, ..., with the rows of a list: image,label,split. */
export async function writeBlobVolumes(folder: string, count: number): Promise<string[]> {
  mkdirSync(join(folder, 'volumes'), { recursive: true })
  const rows: string[] = []
  for (let i = 0; i < count; i++) {
    const affine = [-1, 0, 0, 5, 0, 1.5, 0, -7, 0, 0, 2, 12, 0, 0, 0, 1]
    const data = Int16Array.from(blob(i, i % 2 === 0))
    await writeVolume(join(folder, `volumes/b${i}.nii.gz`), { shape: extents, affine, data })
    rows.push(
      `volumes/b${i}.nii.gz,${i % 2 === 0 ? 'blob' : 'noise'},${['train', 'train', 'validation', 'test'][(i >> 1) % 4]}`,
    )
  }
  return rows
}
