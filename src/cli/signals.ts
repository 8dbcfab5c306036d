import { SemgenError } from '../errors.js'

/**
 * Turns the first Ctrl-C (SIGINT) or SIGTERM into an abort, so that work can stop where it can go on later, and the
 * second into an exit at once.
 * @param say tells the person that the first was heard
 */
export function listenForSignals(say: (line: string) => void): { signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const hear = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(130)
    say(`${name} received: stopping as soon as it is safe. Once more stops at once.`)
    controller.abort(new SemgenError('ABORTED', `Stopped by ${name}.`))
  }
  process.on('SIGINT', hear)
  process.on('SIGTERM', hear)
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', hear)
      process.off('SIGTERM', hear)
    },
  }
}
