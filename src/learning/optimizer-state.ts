import type { Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import type { StoredTensor } from '../weights/index.js'

/** Puts moments and step count back. @throws SemgenError BAD_CHECKPOINT when they are not this optimizer's */
export function restoreOptimizer(
  path: string,
  optimizer: ReadonlyMap<string, Tensor>,
  stored: ReadonlyMap<string, StoredTensor>,
): void {
  for (const [name, tensor] of optimizer) {
    const value = stored.get(name)
    if (value?.dtype !== 'F32' || value.shape.join() !== tensor.shape.join())
      throw new SemgenError('BAD_CHECKPOINT', `${path} does not hold ${name} as this optimizer keeps it.`)
    tensor.write(value.data as Float32Array)
  }
}
