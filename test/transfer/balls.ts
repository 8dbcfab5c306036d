import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../src/random.js'
import { writeVolume } from '../../src/volumes/index.js'

export const shape = [20, 18, 22] as const
/** Stored back to front and upside down: what is predicted must come back so. */
export const affine = [-1, 0, 0, 30, 0, 0, 1.5, -7, 0, -1, 0, 12, 0, 0, 0, 1]

/** So many labelled cases, c0, c1, ..., in images/ and labels/ of a folder. */
export async function writeBalls(folder: string, count: number): Promise<void> {
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part), { recursive: true })
  for (let i = 0; i < count; i++) await writeBall(folder, `c${i}`, i)
}

/** A bright ball (label 1) with a dark core (label 2) in a noisy image. */
export async function writeBall(
  into: string,
  id: string,
  seed: number,
  value = (label: number) => label,
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
  await writeVolume(join(into, 'images', `${id}.nii.gz`), { shape, affine, data: image })
  await writeVolume(join(into, 'labels', `${id}.nii.gz`), { shape, affine, data: labels })
}
