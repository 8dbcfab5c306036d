import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../src/random.js'
import { writeVolume } from '../../src/volumes/index.js'

export const shape = [20, 18, 22] as const
/** Stored back to front and upside down: what is predicted must come back so. */
export const affine = [-1, 0, 0, 30, 0, 0, 1.5, -7, 0, -1, 0, 12, 0, 0, 0, 1]

/** So many labelled cases, c0, c1, ..., in images/ and labels/ of a folder. */
export async function writeBalls(folder: string, count: number, lies: readonly number[] = affine): Promise<void> {
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part), { recursive: true })
  for (let i = 0; i < count; i++) await writeBall(folder, `c${i}`, i, undefined, lies)
}

/** A bright ball (label 1) with a dark core (label 2) in a noisy image. */
export async function writeBall(
  into: string,
  id: string,
  seed: number,
  value = (label: number) => label,
  lies: readonly number[] = affine,
): Promise<void> {
  const random = new Random(seed, 'test/balls')
  const centre = shape.map((extent) => extent / 2 + random.uniform(-2, 2))
  const image = new Float32Array(shape[0] * shape[1] * shape[2])
  const labels = new Int16Array(image.length)
  for (let x = 0, i = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++) {
        const distance = Math.hypot(x - centre[0]!, y - centre[1]!, z - centre[2]!)
        const label = distance < 3 ? 2 : distance < 6.5 ? 1 : 0
        image[i] = [0.3, 0.9, 0.1][label]! + random.uniform(-0.1, 0.1)
        labels[i] = value(label)
      }
  await writeVolume(join(into, 'images', `${id}.nii.gz`), { shape, affine: lies, data: image })
  await writeVolume(join(into, 'labels', `${id}.nii.gz`), { shape, affine: lies, data: labels })
}

/** A .nii of several volumes on the balls' grid: written as one of so many times the slices, whose header is then set right. */
export async function writeVolumes(path: string, volumes: readonly Float32Array[]): Promise<void> {
  const [nx, ny, nz] = shape
  const count = volumes.length
  // (x, y, z) with z fastest, as writeVolume takes it: all volumes of a column, one after the other.
  const data = new Float32Array(count * nx * ny * nz)
  for (let column = 0; column < nx * ny; column++)
    for (const [v, volume] of volumes.entries())
      data.set(volume.subarray(column * nz, (column + 1) * nz), (count * column + v) * nz)
  await writeVolume(path, { shape: [nx, ny, count * nz], affine, data })
  const bytes = readFileSync(path)
  for (const [i, extent] of [4, nx, ny, nz, count].entries()) bytes.writeInt16LE(extent, 40 + 2 * i)
  writeFileSync(path, bytes)
}
