import { SemgenError, shown } from '../errors.js'

/** Which outputs a label belongs to: bit `output` of `codes[label]`, for labels 0 to 255. */
export interface OutputCodes {
  readonly codes: readonly number[]
  readonly outputs: number
}

/** One output of a segmentation network: the labels whose voxels it is to find. */
export interface SegmentationOutput {
  readonly name: string
  /** Values of the label files, 1 to 255. */
  readonly labels: readonly number[]
}

/**
 * The outputs that `--labels` asks for: "1,2" is an output a label; "whole=1-4;core=1,4" one a group, which may overlap. Of
 * a range those labels count that occur. Without it, every label of the training part but 0 is an output.
 * @throws SemgenError BAD_OPTION
 */
export function segmentationOutputs(asked: string | undefined, found: readonly number[]): SegmentationOutput[] {
  if (asked === undefined) return found.map((label) => ({ name: `label ${label}`, labels: [label] }))
  const labelsOf = (text: string) =>
    text.split(',').flatMap((word) => {
      const [low, high = low] = word.split('-').map((end) => (end.trim() === '' ? Number.NaN : Number(end)))
      if (!(Number.isInteger(low) && Number.isInteger(high) && low! >= 1 && high! <= 255 && low! <= high!))
        throw new SemgenError(
          'BAD_OPTION',
          `--labels takes labels from 1 to 255 ("1,2") or groups of them ("whole=1-4;core=1,4"), not ${shown(asked)}.`,
        )
      return low === high ? [low!] : found.filter((label) => label >= low! && label <= high!)
    })
  const outputs = asked.includes('=')
    ? asked.split(';').map((group) => {
        const [name = '', labels = ''] = group.split('=')
        return { name: name.trim(), labels: labelsOf(labels) }
      })
    : labelsOf(asked).map((label) => ({ name: `label ${label}`, labels: [label] }))
  const twice = outputs.find(({ name }, i) => name === '' || outputs.findIndex((other) => other.name === name) !== i)
  if (twice)
    throw new SemgenError('BAD_OPTION', `--labels names the output ${shown(twice.name)} more than once, or not at all.`)
  if (outputs.length > 32)
    throw new SemgenError('BAD_OPTION', `--labels asks for ${outputs.length} outputs; 32 are the most.`)
  for (const { name, labels } of outputs) {
    if (labels.length === 0)
      throw new SemgenError(
        'BAD_OPTION',
        `--labels: no label of ${name} is in a training case, which have ${found.join(', ') || 'none'}.`,
      )
    const missing = labels.find((label) => !found.includes(label))
    if (missing !== undefined)
      throw new SemgenError(
        'BAD_OPTION',
        `--labels: label ${missing} of ${name} is in no training case, which have ${found.join(', ') || 'none'}.`,
      )
  }
  return outputs
}

/** The outputs as `fillPatches` takes them. */
export function outputCodes(outputs: readonly SegmentationOutput[]): OutputCodes {
  const codes = Array.from(
    { length: 256 },
    (_, label) =>
      outputs.reduce((bits, { labels }, output) => (labels.includes(label) ? bits | (1 << output) : bits), 0) >>> 0,
  )
  return { codes, outputs: outputs.length }
}

/**
 * What a label map says where each output has its probability. Outputs of single labels exclude each other: the most
 * probable above one half wins, and its own label is written. Groups overlap: the last above one half wins, as number
 * 1, 2, ... in their order, so that inner regions follow outer ones.
 * @returns the value to write for the probabilities at `at`, `outputs` of them
 */
export function labelWriter(outputs: readonly SegmentationOutput[]): (p: Float32Array, at: number) => number {
  const exclusive = outputs.every(({ labels }) => labels.length === 1)
  const values = outputs.map(({ labels }, i) => (exclusive ? labels[0]! : i + 1))
  const count = outputs.length
  if (!exclusive)
    return (p, at) => {
      for (let o = count - 1; o >= 0; o--) if (p[at + o]! > 0.5) return values[o]!
      return 0
    }
  return (p, at) => {
    let best = -1
    let most = 0.5
    for (let o = 0; o < count; o++)
      if (p[at + o]! > most) {
        most = p[at + o]!
        best = o
      }
    return best < 0 ? 0 : values[best]!
  }
}
