import { bytes, counted, figure, printable, whole } from '../format.js'
import type { WeightsDescription, WeightsDifference } from '../weights/index.js'
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

/** How two files of weights differ, for people: what is in one alone, then tensors that differ, then the sum. */
export function differenceReport({ a, b, same, onlyA, onlyB, otherShape, tensors }: WeightsDifference): string {
  const alone = (path: string, keys: readonly string[]) => keys.map((key) => printable(`only in ${path}: ${key}`))
  const shapes = otherShape.map(({ key, a: one, b: other }) =>
    printable(`other shape: ${key} is ${one.join('x')} in ${a}, ${other.join('x')} in ${b}`),
  )
  const changed = tensors.filter(({ different }) => different > 0)
  const rows = changed.map(({ key, elements, different, largest, relative }) => [
    key,
    `${whole(different)} of ${whole(elements)}`,
    figure(largest),
    figure(relative),
  ])
  const head = [{ head: 'key' }, { head: 'different' }, { head: 'largest' }, { head: 'relative' }].map((column, i) =>
    i === 0 ? column : { ...column, align: 'right' as const },
  )
  return [
    ...alone(a, onlyA),
    ...alone(b, onlyB),
    ...shapes,
    ...(rows.length > 0 ? [table(head, rows)] : []),
    same
      ? `${a} and ${b} hold the same ${counted(tensors.length, 'tensor')}.`
      : `${counted(tensors.length - changed.length, 'tensor')} are the same, ${whole(changed.length)} differ in numbers, ${whole(otherShape.length)} in shape, ${whole(onlyA.length + onlyB.length)} are in one file alone.`,
  ].join('\n')
}
