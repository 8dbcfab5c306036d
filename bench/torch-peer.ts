import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { projectRoot } from '../src/engine/addon.js'
import type { Precision } from '../src/engine/index.js'

export interface TorchStep {
  readonly seconds: number
  readonly loss: number
}

const python = '/usr/bin/python3'

/**
 * Debian's PyTorch in a process of its own, which computes a training step whenever it is asked (bench/torch_step.py). Two
 * programs that take turns have the same neighbours on a shared machine; measured one after the other they do not.
 */
export class TorchPeer {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #errors = ''

  private constructor(words: readonly string[]) {
    this.#child = spawn(python, [join(projectRoot(), 'bench/torch_step.py'), ...words])
    this.#child.stdin.on('error', () => {}) // an ended process is told by its missing answer
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-2000)
    })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** @returns undefined, and says why, where there is no PyTorch. Begins with the weights and batch of `casePath`. */
  static async start(casePath: string, threads: number, precision: Precision, width: number) {
    if (!existsSync(python)) return undefined
    const peer = new TorchPeer([casePath, String(threads), precision, String(width)])
    const { version } = await peer.#answer<{ version: string | null }>()
    return version === null ? undefined : { peer, version }
  }

  step(): Promise<TorchStep> {
    this.#child.stdin.write('step\n')
    return this.#answer()
  }

  /** Ends the process. */
  finish(): Promise<{ readonly peakBytes: number }> {
    this.#child.stdin.end()
    return this.#answer()
  }

  async #answer<T>(): Promise<T> {
    const { done, value } = await this.#lines.next()
    if (done)
      throw new Error(
        `PyTorch ended without an answer: ${this.#errors.trim().split('\n').at(-1) || 'it said nothing'}.`,
      )
    return JSON.parse(value) as T
  }
}
