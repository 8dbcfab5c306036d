import sharp from 'sharp'
import { type Html, html } from './html.js'

type Triple = readonly [number, number, number]

/** A cube in RAS order: x to the patient's right, y to the front, z to the head; z fastest, one byte a voxel. */
export interface Cube {
  readonly shape: Triple
  /** Millimetres. */
  readonly spacing: Triple
  readonly voxels: Uint8Array
}

/** How each plane is seen: which axis runs along its columns and rows, and which it cuts in the middle. */
const planes = [
  { name: 'axial', column: 0, row: 1, cut: 2 },
  { name: 'coronal', column: 0, row: 2, cut: 1 },
  { name: 'sagittal', column: 1, row: 2, cut: 0 },
] as const

/**
 * The three middle planes of a cube as radiologists see them: head and front up, the patient's right on the left (in the
 * sagittal plane the front). Each is as many pixels as it has voxels; the page scales it to millimetres.
 */
export async function middlePlanes(cube: Cube, what: string): Promise<Html> {
  const images = await Promise.all(
    planes.map(async (plane) => {
      const pixels = planeOf(cube, plane)
      const width = cube.shape[plane.column]
      const height = cube.shape[plane.row]
      const png = await sharp(pixels, { raw: { width, height, channels: 1 } })
        .png()
        .toBuffer()
      const ratio = (width * cube.spacing[plane.column]) / (height * cube.spacing[plane.row])
      return html`<img class="plane" src="${dataUri(png, 'png')}" alt="${`${what}, ${plane.name} plane`}" style="${`aspect-ratio:${ratio.toFixed(4)}`}">`
    }),
  )
  return html`${images}`
}

/** All three axes point away from the upper left corner's side, so columns and rows both run backwards. */
export function planeOf({ shape, voxels }: Cube, { column, row, cut }: (typeof planes)[number]): Uint8Array {
  const stride = [shape[1] * shape[2], shape[2], 1] as const
  const width = shape[column]
  const height = shape[row]
  const middle = Math.floor(shape[cut] / 2) * stride[cut]
  const pixels = new Uint8Array(width * height)
  for (let r = 0; r < height; r++)
    for (let c = 0; c < width; c++)
      pixels[r * width + c] = voxels[middle + (height - 1 - r) * stride[row] + (width - 1 - c) * stride[column]]!
  return pixels
}

export const dataUri = (image: Uint8Array, type: 'png' | 'webp'): string =>
  `data:image/${type};base64,${Buffer.from(image).toString('base64')}`
