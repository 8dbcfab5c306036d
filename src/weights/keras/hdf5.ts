import { readFile, stat } from 'node:fs/promises'
import type { Dataset, File, Group } from 'h5wasm'
import { reason, SemgenError } from '../../errors.js'

/** The whole file is held in the memory of the HDF5 library, whose addresses end at 4 GiB. */
const fileLimit = 2 * 2 ** 30

/**
 * An HDF5 file, read by the HDF Group's own library as WebAssembly (h5wasm). It sees one file in a memory of its own and
 * nothing of the disk, so links to other files lead nowhere.
 */
export class Hdf5File {
  readonly path: string
  /** Bytes of the file. */
  readonly size: number
  readonly root: Group
  readonly #file: File
  readonly #remove: () => void

  private constructor(path: string, size: number, file: File, remove: () => void) {
    this.path = path
    this.size = size
    this.root = file
    this.#file = file
    this.#remove = remove
  }

  /** @throws SemgenError IO, BAD_FILE when the library cannot read it, UNSUPPORTED above 2 GiB */
  static async open(path: string): Promise<Hdf5File> {
    const bytes = await contentOf(path)
    const { default: h5wasm } = await import('h5wasm')
    const module = await h5wasm.ready
    module.activate_throwing_error_handler()
    const name = `weights-${++opened}.h5`
    const remove = () => module.FS.unlink(name)
    module.FS.writeFile(name, bytes)
    try {
      return new Hdf5File(path, bytes.length, new h5wasm.File(name, 'r'), remove)
    } catch (error) {
      remove()
      throw damaged(path, error)
    }
  }

  /** Runs what asks the library. @throws SemgenError BAD_FILE in place of the library's own errors */
  ask<T>(question: (root: Group) => T): T {
    try {
      return question(this.root)
    } catch (error) {
      throw error instanceof SemgenError ? error : damaged(this.path, error)
    }
  }

  close(): void {
    this.#file.close()
    this.#remove()
  }
}

let opened = 0

/** An attribute that is one text or several; empty where it is missing. */
export function texts(object: Group | Dataset, attribute: string): string[] {
  const value: unknown = object.attrs[attribute]?.value
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

async function contentOf(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > fileLimit)
      throw new SemgenError('UNSUPPORTED', `${path} has ${size} bytes, and HDF5 files are read up to ${fileLimit}.`)
    return await readFile(path)
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `${path} could not be read: ${reason(error)}.`, { cause: error })
  }
}

/** The library's errors are stacks of lines, "#007: file line 12 in function(): what went wrong", innermost last. */
function damaged(path: string, error: unknown): SemgenError {
  const stack = [...reason(error).matchAll(/^ *#\d+: .*?\(\): (.*)$/gm)]
  const said = stack.at(-1)?.[1] ?? reason(error).trim().split('\n')[0]
  return new SemgenError('BAD_FILE', `${path} is cut short or damaged: the HDF5 library says "${said}".`, {
    cause: error,
  })
}
