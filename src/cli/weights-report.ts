import { bytes, counted, printable, whole } from '../format.js'
import type { WeightsDescription } from '../weights/index.js'
import { table } from './table.js'

/** What a weights file holds, for people: its tensors, then their sums. */
export function weightsReport({
  path,
  bytes: size,
  format,
  keys,
  parameters,
  tensors,
  metadata,
}: WeightsDescription): string {
  const rows = tensors.map(({ key, dtype, shape, elements, kind }) => [
    key,
    dtype,
    shape.join('x') || 'scalar',
    whole(elements),
    kind === 'parameter' ? '' : kind,
  ])
  const said = Object.entries(metadata).map(([key, value]) =>
    printable(`${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`),
  )
  return [
    table(
      [{ head: 'key' }, { head: 'type' }, { head: 'shape' }, { head: 'elements', align: 'right' }, { head: '' }],
      rows,
    ),
    '',
    `${path}: ${format}, ${bytes(size)}, ${counted(keys, 'key')} of the network, ${counted(parameters, 'parameter')}`,
    ...said,
  ].join('\n')
}
