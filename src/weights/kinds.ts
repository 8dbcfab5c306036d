/** `statistic`: batch-norm buffers. `optimizer`: moments and step count of a checkpoint. */
export type TensorKind = 'parameter' | 'statistic' | 'optimizer'

/** The prefix of an optimizer's tensors in a checkpoint. */
export const optimizerPrefix = 'optimizer.'

export function kindOf(key: string): TensorKind {
  if (key.startsWith(optimizerPrefix)) return 'optimizer'
  return /(^|\.)(running_mean|running_var|num_batches_tracked)$/.test(key) ? 'statistic' : 'parameter'
}
