import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reason, SemgenError } from '../errors.js'
import { mapVoxels } from '../volumes/index.js'

/**
 * Volumes of float32 that are made plane by plane, several at once, and are on the disk until each is read: in memory they
 * would take four bytes a voxel and output.
 */
export class PlaneFiles {
  readonly #paths: readonly string[]
  readonly #files: number[] = []
  readonly #plane: Float32Array

  /** @param voxels of a plane */
  constructor(folder: string, volumes: number, voxels: number) {
    this.#paths = Array.from({ length: volumes }, (_, i) => join(folder, `volume-${i}.f32`))
    this.#plane = new Float32Array(voxels)
  }

  /** Takes the next plane, [Y, Z, volumes]. @throws SemgenError IO when the disk is full */
  append(values: Float32Array): void {
    const count = this.#paths.length
    for (const [v, path] of this.#paths.entries()) {
      for (let i = 0; i < this.#plane.length; i++) this.#plane[i] = values[i * count + v]!
      try {
        this.#files[v] ??= openSync(path, 'w')
        writeFileSync(this.#files[v], new Uint8Array(this.#plane.buffer))
      } catch (error) {
        const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
        throw new SemgenError('IO', `${path} could not be written: ${full ? 'the disk is full' : reason(error)}.`, {
          cause: error,
        })
      }
    }
  }

  /** A volume, mapped from its file. */
  read(volume: number): Float32Array {
    return new Float32Array(mapVoxels(this.#paths[volume]!))
  }

  /** Nothing is appended any more. */
  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file)
  }
}
