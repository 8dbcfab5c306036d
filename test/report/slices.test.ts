import sharp from 'sharp'
import { expect, it } from 'vitest'
import { middlePlanes } from '../../src/report/slices.js'

/** Marks one voxel of a 4 x 6 x 8 cube and tells at which column and row of each plane it shows. */
async function placeOf(x: number, y: number, z: number): Promise<(string | undefined)[]> {
  const shape = [4, 6, 8] as const
  const voxels = new Uint8Array(4 * 6 * 8)
  voxels[(x * 6 + y) * 8 + z] = 255
  const { text } = await middlePlanes({ shape, spacing: [1, 1, 1], voxels }, 'cube')
  return Promise.all(
    [...text.matchAll(/base64,([^"]+)"/g)].map(async ([, png]) => {
      const { data, info } = await sharp(Buffer.from(png!, 'base64'))
        .greyscale()
        .raw()
        .toBuffer({ resolveWithObject: true })
      const at = data.indexOf(255)
      return at < 0 ? undefined : `${at % info.width},${Math.floor(at / info.width)} of ${info.width}x${info.height}`
    }),
  )
}

// RAS order: index 0 is the patient's left, back and foot end. The middle planes are x = 2, y = 3, z = 4.
it('shows the right on the left, the front and the head up', async () => {
  expect(await placeOf(3, 5, 4)).toEqual(['0,0 of 4x6', undefined, undefined]) // right, front: upper left
  expect(await placeOf(0, 3, 7)).toEqual([undefined, '3,0 of 4x8', undefined]) // left, head: upper right
  expect(await placeOf(2, 5, 0)).toEqual([undefined, undefined, '0,7 of 6x8']) // front, foot: lower left
})

it('gives every plane its proportions in millimetres', async () => {
  const cube = { shape: [4, 6, 8] as const, spacing: [1, 1, 2.5] as const, voxels: new Uint8Array(192) }
  const { text } = await middlePlanes(cube, 'cube')
  expect([...text.matchAll(/aspect-ratio:([\d.]+)/g)].map(([, ratio]) => Number(ratio))).toEqual([0.6667, 0.2, 0.3])
})
