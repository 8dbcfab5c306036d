import { type ErrorCode, reason, SemgenError } from '../errors.js'

/** What a failed command prints and exits with. */
export interface Failure {
  readonly message: string
  /** 1: it failed; 2: it was called wrongly; 130: it was stopped by a signal. */
  readonly exitCode: 1 | 2 | 130
}

const codes: Record<ErrorCode, Failure['exitCode']> = {
  BAD_OPTION: 2,
  BAD_FILE: 1,
  UNSUPPORTED: 1,
  NO_DATA: 1,
  NO_DEVICE: 1,
  OUT_OF_MEMORY: 1,
  IO: 1,
  BAD_CHECKPOINT: 1,
  DIVERGED: 1,
  NATIVE: 1,
  ABORTED: 130,
}

/** Turns anything thrown into what a person needs to know. Errors of the engine carry the same codes as SemgenError. */
export function explain(error: unknown): Failure {
  // Node's own functions wrap what a signal was aborted with.
  if (error instanceof Error && error.name === 'AbortError')
    return { message: error.cause instanceof SemgenError ? error.cause.message : 'Stopped.', exitCode: 130 }
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code === 'string' && Object.hasOwn(codes, code))
    return { message: reason(error), exitCode: codes[code as ErrorCode] }
  // The operating system's refusals name what was tried and on which file.
  if (error instanceof Error && 'syscall' in error) return { message: `${reason(error)}.`, exitCode: 1 }
  return {
    message:
      `${error instanceof Error ? error.name : 'An unknown error'}: ${reason(error)}\n` +
      'This is a mistake in semgen-native. Please report it with the output of "semgen-native doctor" and of the same ' +
      'command with SEMGEN_DEBUG=1 set.',
    exitCode: 1,
  }
}

/** The stack and causes, for SEMGEN_DEBUG=1. */
export function trace(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.stack ?? String(error)
  return error.cause === undefined ? own : `${own}\ncaused by: ${trace(error.cause)}`
}

/** A command line that cannot be understood. */
export function usageError(message: string): SemgenError {
  return new SemgenError('BAD_OPTION', message)
}
