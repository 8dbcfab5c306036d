import type { WriteStream } from 'node:tty'
import pc from 'picocolors'

export type Colours = ReturnType<typeof pc.createColors>

/** Colours for a terminal; none for a file or pipe, where NO_COLOR is set (no-color.org), or where TERM is dumb. */
export function coloursFor(stream: Pick<WriteStream, 'isTTY'>, environment = process.env): Colours {
  return pc.createColors(Boolean(stream.isTTY) && !environment.NO_COLOR && environment.TERM !== 'dumb')
}
