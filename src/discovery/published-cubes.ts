import { createHash } from 'node:crypto'
import { mkdir, open, stat, statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SemgenError } from '../errors.js'
import { voxelCount } from '../extents.js'
import { writeAtomically } from '../files.js'
import { bytes } from '../format.js'
import type { Task } from '../progress.js'
import { mapVoxels } from '../volumes/index.js'
import { voxelsFrom } from '../volumes/voxel-types.js'
import type { PublishedArray } from './published.js'

/** A file of the cache holds at most so many bytes: well below what one array of JavaScript can. */
const shardBytes = 2 ** 29
/** Bytes of the source that are in memory at a time. */
const readAtOnce = 2 ** 25
/** Published cubes are in [0, 1]; resampling them left some a little outside. */
const slack = 0.05

/**
 * The cubes of a published array as 16-bit voxels, memory-mapped: value / 65535 is the intensity. They are converted the
 * first time, and found in the cache later as long as the array is the same file.
 * @throws SemgenError BAD_FILE when values are not in [0, 1], IO when the disk is full; whatever the signal was aborted with
 */
export async function prepareCubes(
  array: PublishedArray,
  cache: string,
  task: Task,
  signal?: AbortSignal,
): Promise<Uint16Array[]> {
  const cubeVoxels = voxelCount(array.shape)
  const perShard = Math.max(1, Math.floor(shardBytes / (2 * cubeVoxels)))
  const { size, mtimeMs } = await stat(array.path)
  const key = createHash('sha256')
    .update(JSON.stringify([1, resolve(array.path), size, Math.round(mtimeMs), array.shape]))
    .digest('hex')
    .slice(0, 12)
  await mkdir(cache, { recursive: true })
  const cubes: Uint16Array[] = []
  for (let first = 0; first < array.cubes; first += perShard) {
    const count = Math.min(perShard, array.cubes - first)
    const path = join(cache, `${array.split}${array.number}-${key}-${first / perShard}.u16`)
    const wanted = 2 * count * cubeVoxels
    if ((await sizeOf(path)) !== wanted) {
      await checkSpace(cache, array.path, wanted)
      await writeAtomically(path, converted(array, first, count, task, signal))
    } else task.advance(count)
    const buffer = mapVoxels(path)
    for (let i = 0; i < count; i++) cubes.push(new Uint16Array(buffer, 2 * i * cubeVoxels, cubeVoxels))
  }
  return cubes
}

async function* converted(
  array: PublishedArray,
  first: number,
  count: number,
  task: Task,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  const { header, path } = array
  const cubeVoxels = voxelCount(array.shape)
  const cubeBytes = cubeVoxels * header.type.bytes
  const atOnce = Math.max(1, Math.floor(readAtOnce / cubeBytes))
  const file = await open(path, 'r')
  try {
    for (let done = 0; done < count; done += atOnce) {
      signal?.throwIfAborted()
      const some = Math.min(atOnce, count - done)
      const buffer = new ArrayBuffer(some * cubeBytes)
      const { bytesRead } = await file.read(
        new Uint8Array(buffer),
        0,
        buffer.byteLength,
        header.offset + (first + done) * cubeBytes,
      )
      if (bytesRead !== buffer.byteLength)
        throw new SemgenError('BAD_FILE', `${path} became shorter while it was read.`)
      const values = voxelsFrom(header.type, buffer, 0, some * cubeVoxels, header.littleEndian)
      const voxels = new Uint16Array(values.length)
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!
        // Written so that NaN is refused too.
        if (!(value >= -slack && value <= 1 + slack))
          throw new SemgenError(
            'BAD_FILE',
            `${path}: cube ${first + done + Math.floor(i / cubeVoxels)} holds the value ${value}, and published cubes are in [0, 1].`,
          )
        voxels[i] = Math.round(65535 * Math.min(1, Math.max(0, value)))
      }
      task.advance(some)
      yield new Uint8Array(voxels.buffer)
    }
  } finally {
    await file.close()
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}

async function checkSpace(folder: string, path: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < needed)
    throw new SemgenError('IO', `The disk of ${folder} is full: the cubes of ${path} need ${bytes(needed)} more there.`)
}
