/**
 * The one error class that users see. `code` is stable and meant for programs; `message` is one sentence for people:
 * what was expected, what came, which file or option, what to do.
 */
export class SemgenError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'SemgenError'
    this.code = code
  }
}

export type ErrorCode =
  | 'BAD_OPTION' // a command-line option, configuration key or argument that cannot be used
  | 'BAD_FILE' // a file that is not what its name or header says
  | 'UNSUPPORTED' // a file or request that is understood and deliberately refused
  | 'NO_DATA' // too few usable images
  | 'NO_DEVICE' // the engine or device asked for is not on this machine
  | 'OUT_OF_MEMORY'
  | 'IO' // the operating system refused: disk full, permission, missing file
  | 'BAD_CHECKPOINT' // weights or a checkpoint that do not fit
  | 'DIVERGED' // NaN or runaway loss
  | 'NATIVE' // the engine refused a program or failed while it ran
  | 'ABORTED'

/** The message of anything thrown, for messages that quote a cause. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** A value as an error message shows it: short, quoted, with its type where that is the point. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `"${escaped(value.length > 80 ? `${value.slice(0, 77)}...` : value)}"`
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  const text = typeof value === 'bigint' ? String(value) : written(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** What JSON cannot write, as it holds itself or is nested too deep, goes by its kind. */
function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? typeof value
  } catch {
    return kindShown(value)
  }
}

/** A value that is not to be written out, as what it shares would unfold without end: a list or an object by its kind. */
export const shownBriefly = (value: unknown): string =>
  typeof value === 'object' && value !== null ? kindShown(value) : shown(value)

const kindShown = (value: unknown): string => (Array.isArray(value) ? 'a list' : 'an object')

/** Strangers' names stay on their line and cannot steer a terminal: control characters become "\x1b" and the like. */
function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
