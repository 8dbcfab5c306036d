import { type FileHandle, open } from 'node:fs/promises'
import { reason, SemgenError } from '../errors.js'
import type { MetricsEvent } from '../report/run-files.js'

type Distributed<T> = T extends unknown ? Omit<T, 'time'> : never
/** An event without its time, which is when it is written. */
export type Event = Distributed<MetricsEvent>

/**
 * metrics.jsonl: one line an event, appended. A resumed run cuts it back to what it was at the checkpoint, so that no
 * step is told twice.
 */
export class MetricsLog {
  readonly #path: string
  readonly #file: FileHandle
  #bytes: number

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path
    this.#file = file
    this.#bytes = bytes
  }

  /**
   * @param keep bytes of an earlier log to keep; 0 begins a new one
   * @throws SemgenError IO when the file cannot be written
   */
  static async open(path: string, keep = 0): Promise<MetricsLog> {
    let file: FileHandle | undefined
    try {
      file = await open(path, keep > 0 ? 'a+' : 'w')
      const bytes = Math.min(keep, (await file.stat()).size)
      await file.truncate(bytes)
      return new MetricsLog(path, file, bytes)
    } catch (error) {
      await file?.close()
      throw refused(path, error)
    }
  }

  async write(event: Event): Promise<void> {
    const line = Buffer.from(`${JSON.stringify({ ...event, time: new Date().toISOString() })}\n`)
    try {
      await this.#file.appendFile(line)
    } catch (error) {
      throw refused(this.#path, error)
    }
    this.#bytes += line.length
  }

  /** Makes sure that everything written is on the disk, and tells how many bytes that is. */
  async sync(): Promise<number> {
    try {
      await this.#file.datasync()
    } catch (error) {
      throw refused(this.#path, error)
    }
    return this.#bytes
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

function refused(path: string, error: unknown): SemgenError {
  const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
  const sentence = full
    ? `The disk is full: ${path} could not be continued.`
    : `${path} could not be written: ${reason(error)}.`
  return new SemgenError('IO', sentence, { cause: error })
}
