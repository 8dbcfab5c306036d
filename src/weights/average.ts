import { SemgenError } from '../errors.js'
import type { NetworkShape } from '../nn/index.js'
import { checkTarget, readNetwork, type StoredNetwork, writeNetwork } from './network-file.js'

/**
 * Averages networks of the same shape, number by number, in float64: a "model soup", or the mean of a run's last
 * checkpoints. Running statistics are averaged as well; counters of batches are the largest.
 * @param files two at least, read one at a time
 * @returns the shape of the result
 * @throws SemgenError BAD_OPTION, BAD_CHECKPOINT when they are not of one shape; as readNetwork and writeNetwork
 */
export async function averageWeights(files: readonly string[], out: string, force: boolean): Promise<NetworkShape> {
  if (files.length < 2) throw new SemgenError('BAD_OPTION', 'An average takes two files of weights at least.')
  await checkTarget(out, force)
  const first = await readNetwork(files[0]!)
  const sums = new Map<string, Float64Array>()
  const counters = new Map<string, Int32Array>()
  for (const [index, path] of files.entries()) {
    const network = index === 0 ? first : await readNetwork(path)
    if (kin(network.shape) !== kin(first.shape))
      throw new SemgenError(
        'BAD_CHECKPOINT',
        `${path} cannot be averaged with ${files[0]}: its network is ${kin(network.shape)}, and the other's ${kin(first.shape)}.`,
      )
    for (const [key, value] of network.values)
      if (value instanceof Int32Array)
        counters.set(
          key,
          value.map((count, i) => Math.max(count, counters.get(key)?.[i] ?? 0)),
        )
      else sums.set(key, added(sums.get(key) ?? new Float64Array(value.length), value))
  }
  const values: StoredNetwork['values'] = new Map()
  for (const key of first.values.keys())
    values.set(key, counters.get(key) ?? Float32Array.from(sums.get(key)!, (sum) => sum / files.length))
  // What the first file says of itself alone is not true of the average.
  const { source, stage, epoch, figures, ...metadata } = first.metadata
  await writeNetwork(out, {
    shape: first.shape,
    values,
    metadata: { ...metadata, average: `${files.length} networks` },
  })
  return first.shape
}

/** What networks that can be averaged have in common. */
function kin({ kind, baseWidth, depth, inputChannels, outputChannels, classes, skips, norm }: NetworkShape): string {
  const head = classes > 0 ? `, ${classes} classes` : ''
  return `${kind}, base width ${baseWidth}, depth ${depth}, ${inputChannels} in, ${outputChannels} out${head}${skips ? '' : ', no skips'}, ${norm} statistics`
}

function added(sum: Float64Array, value: Float32Array): Float64Array {
  for (let i = 0; i < sum.length; i++) sum[i]! += value[i]!
  return sum
}
