import Table from 'cli-table3'
import { printable } from '../format.js'

export interface Column {
  readonly head: string
  readonly align?: 'left' | 'right'
}

/** Rows under a head, without lines between them. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const blank = Object.fromEntries(
    ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
      .concat(['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'])
      .map((edge) => [edge, '']),
  )
  const drawn = new Table({
    head: columns.map(({ head }) => head),
    colAligns: columns.map(({ align = 'left' }) => align),
    chars: { ...blank, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  for (const row of rows) drawn.push(row.map(printable))
  return drawn.toString().replace(/ +$/gm, '')
}
