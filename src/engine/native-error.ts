import { type ErrorCode, reason, SemgenError } from '../errors.js'

/**
 * What native code threw, as the error that users see: its code and its sentence stay. Anything without a code of ours
 * (a mistake in the call itself) becomes NATIVE.
 */
export function fromNative(error: unknown): SemgenError {
  if (error instanceof SemgenError) return error
  const code = (error as { code?: unknown } | null)?.code
  return new SemgenError(isOurs(code) ? code : 'NATIVE', reason(error), { cause: error })
}

const nativeCodes: readonly ErrorCode[] = [
  'BAD_OPTION',
  'BAD_FILE',
  'UNSUPPORTED',
  'NO_DATA',
  'NO_DEVICE',
  'OUT_OF_MEMORY',
  'IO',
  'BAD_CHECKPOINT',
  'DIVERGED',
  'NATIVE',
  'ABORTED',
]

function isOurs(code: unknown): code is ErrorCode {
  return (nativeCodes as readonly unknown[]).includes(code)
}
