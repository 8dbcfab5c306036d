import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SemgenError } from '../errors.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import { writeAtomically } from '../files.js'
import { resizeScan, type Scan } from '../perturb/index.js'
import { mapVoxels } from '../volumes/index.js'

/** More than this on one disk is a mistake in a header. */
const mostBytes = 2 ** 40

/**
 * Images of one shape in one file, memory-mapped, written once: value / 65535 is the intensity in [0, 1].
 * @param identity of what they are made from: another one is another file
 * @param make each image's channels, in the order they are to have
 * @returns for each image its channels
 * @throws SemgenError IO when the disk is full; whatever `make` throws, and nothing is kept then
 */
export async function storedCubes(
  of: { readonly folder: string; readonly identity: unknown; readonly count: number; readonly channels: number },
  shape: Extents,
  make: () => AsyncIterable<readonly Uint16Array[]>,
): Promise<Scan[][]> {
  const voxels = voxelCount(shape)
  const bytes = 2 * of.count * of.channels * voxels
  if (bytes > mostBytes)
    throw new SemgenError(
      'UNSUPPORTED',
      `${of.count} images of ${extentsText(shape)} voxels and ${of.channels} channels take ${bytes} bytes; ${mostBytes} are the most.`,
    )
  const key = createHash('sha256')
    .update(JSON.stringify(['cubes 1', of.identity, of.count, of.channels, shape]))
    .digest('hex')
  const path = join(of.folder, `cubes-${key.slice(0, 16)}.u16`)
  await mkdir(of.folder, { recursive: true })
  if (!existsSync(path) || statSync(path).size !== bytes) await writeAtomically(path, written(make(), voxels))
  const all = mapVoxels(path)
  if (all.byteLength !== bytes)
    throw new SemgenError('BAD_FILE', `${path} holds ${all.byteLength} bytes, and ${bytes} were written.`)
  return Array.from({ length: of.count }, (_, i) =>
    Array.from({ length: of.channels }, (_, channel) => ({
      shape,
      voxels: new Uint16Array(all, 2 * voxels * (i * of.channels + channel), voxels),
    })),
  )
}

async function* written(images: AsyncIterable<readonly Uint16Array[]>, voxels: number): AsyncGenerator<Uint8Array> {
  for await (const channels of images)
    for (const channel of channels) {
      if (channel.length !== voxels)
        throw new SemgenError('NATIVE', `A cube of ${channel.length} voxels was to be stored among cubes of ${voxels}.`)
      yield new Uint8Array(channel.buffer, channel.byteOffset, channel.byteLength)
    }
}

/** A scan brought to `shape`: interpolated where it grows, averaged where it shrinks. */
export async function resized(scan: Scan, shape: Extents, threads: number): Promise<Uint16Array> {
  if (extentsText(scan.shape) === extentsText(shape)) return scan.voxels
  const values = await resizeScan(scan, shape, { threads })
  return Uint16Array.from(values, (value) => Math.round(65535 * Math.min(1, Math.max(0, value))))
}
