import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Extents } from '../src/extents.js'
import { Random } from '../src/random.js'

/** Of a chest and abdomen CT in thin slices. */
export const largeExtents: Extents = [512, 512, 300]

/**
 * Writes CT scans as int16 .nii.gz: smooth anatomy-like values with noise, so that they pack about as well as real ones.
 * Their voxels differ in the first slice alone, so that the rest is packed once.
 * @returns their paths
 */
export async function writeLargeScans(
  folder: string,
  count: number,
  extents: Extents = largeExtents,
): Promise<string[]> {
  const voxels = anatomy(extents)
  const slice = extents[0] * extents[1]
  const pack = (bytes: Uint8Array) => promisify(gzip)(bytes, { level: 4 })
  const rest = await pack(new Uint8Array(voxels.buffer, 2 * slice))
  const paths: string[] = []
  for (let scan = 0; scan < count; scan++) {
    const first = voxels.slice(0, slice)
    first[0] = scan % 1000
    first[1] = Math.floor(scan / 1000)
    const path = join(folder, `LS_${String(scan).padStart(4, '0')}.nii.gz`)
    // Two members of one gzip file, which readers take for one stream.
    const head = await pack(Buffer.concat([niftiHeader(extents), new Uint8Array(first.buffer)]))
    await writeFile(path, Buffer.concat([head, rest]))
    paths.push(path)
  }
  return paths
}

/** NIfTI-1 with voxels of 1 mm. */
function niftiHeader(extents: Extents): Buffer {
  const header = Buffer.alloc(352)
  header.writeInt32LE(348, 0)
  for (const [i, extent] of [3, ...extents, 1, 1, 1, 1].entries()) header.writeInt16LE(extent, 40 + 2 * i)
  header.writeInt16LE(4, 70)
  header.writeInt16LE(16, 72)
  for (let i = 0; i < 4; i++) header.writeFloatLE(1, 76 + 4 * i)
  header.writeFloatLE(352, 108)
  header.write('n+1\0', 344, 'latin1')
  return header
}

/** An ellipse of tissue in air, in Hounsfield units; x fastest. */
function anatomy([X, Y, Z]: Extents): Int16Array {
  const voxels = new Int16Array(X * Y * Z)
  const random = new Random(0, 'bench')
  const noise = Int16Array.from({ length: 65536 }, () => Math.round(12 * random.normal()))
  for (let z = 0, i = 0; z < Z; z++)
    for (let y = 0; y < Y; y++)
      for (let x = 0; x < X; x++, i++) {
        const inside = ((x / X - 0.5) / 0.39) ** 2 + ((y / Y - 0.5) / 0.29) ** 2 < 1
        const tissue = inside ? 40 + Math.round(60 * Math.sin(x / 23) * Math.sin(y / 31 + z / 17)) : -1000
        voxels[i] = tissue + noise[Math.imul(i, 40503) & 65535]!
      }
  return voxels
}
