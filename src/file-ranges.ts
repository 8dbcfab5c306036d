import { type FileHandle, open } from 'node:fs/promises'
import { reason, SemgenError } from './errors.js'

/** A file held open for reads at any place. Every read is checked against its size before memory is asked for. */
export class FileRanges {
  readonly path: string
  readonly size: number
  readonly #file: FileHandle

  private constructor(path: string, size: number, file: FileHandle) {
    this.path = path
    this.size = size
    this.#file = file
  }

  /** @throws SemgenError IO when it cannot be opened, BAD_FILE when it is no file */
  static async open(path: string): Promise<FileRanges> {
    let file: FileHandle | undefined
    try {
      file = await open(path, 'r')
      const status = await file.stat()
      if (!status.isFile()) throw new SemgenError('BAD_FILE', `${path} is not a file.`)
      return new FileRanges(path, status.size, file)
    } catch (error) {
      await file?.close()
      throw asFileError(path, error)
    }
  }

  /**
   * Reads `bytes` bytes from `offset` on, in pieces: one read() of more than 2 GiB is refused by the system.
   * @throws SemgenError BAD_FILE when the file ends before, IO
   */
  async read(offset: number, bytes: number): Promise<ArrayBuffer> {
    if (!(offset >= 0 && bytes >= 0 && offset + bytes <= this.size))
      throw new SemgenError(
        'BAD_FILE',
        `${this.path} is cut short: ${bytes} bytes were to be at byte ${offset}, and it ends at ${this.size}.`,
      )
    try {
      const buffer = new ArrayBuffer(bytes)
      let done = 0
      while (done < bytes) {
        const piece = new Uint8Array(buffer, done, Math.min(bytes - done, 2 ** 30))
        const { bytesRead } = await this.#file.read(piece, 0, piece.length, offset + done)
        if (bytesRead === 0) throw new SemgenError('BAD_FILE', `${this.path} became shorter while it was read.`)
        done += bytesRead
      }
      return buffer
    } catch (error) {
      throw asFileError(this.path, error)
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

function asFileError(path: string, error: unknown): SemgenError {
  if (error instanceof SemgenError) return error
  return new SemgenError('IO', `${path} could not be read: ${reason(error)}.`, { cause: error })
}
