import { SemgenError } from '../errors.js'
import { type Network, type NetworkShape, stateLayout } from '../nn/index.js'
import type { StoredTensor, TensorToWrite } from './safetensors.js'

/**
 * A network's state dict as PyTorch stores it: published keys and shapes, num_batches_tracked as I64 scalars.
 * Tensors are read from the engine when they are written, one at a time.
 */
export function stateToWrite(network: Network): Map<string, TensorToWrite> {
  const tensors = new Map<string, TensorToWrite>()
  for (const [key, tensor] of network.tensors)
    tensors.set(
      key,
      tensor.dtype === 'i32'
        ? {
            dtype: 'I64',
            shape: [],
            data: () => BigInt64Array.from(tensor.read<Int32Array>(), (count) => BigInt(count)),
          }
        : { dtype: 'F32', shape: tensor.shape, data: () => tensor.read<Float32Array>() },
    )
  return tensors
}

/**
 * The arrays that Network.load takes, from tensors of a file.
 * @param path named in errors
 * @throws SemgenError BAD_CHECKPOINT when a tensor of the shape's state dict is missing, has another shape or dtype
 */
export function stateFromStored(
  path: string,
  shape: NetworkShape,
  stored: ReadonlyMap<string, StoredTensor>,
): Map<string, Float32Array | Int32Array> {
  const values = new Map<string, Float32Array | Int32Array>()
  for (const layout of stateLayout(shape)) {
    const tensor = stored.get(layout.key)
    if (!tensor)
      throw new SemgenError('BAD_CHECKPOINT', `${path} has no tensor ${layout.key}, which this network needs.`)
    const scalar = layout.dtype === 'i32'
    const expected = scalar ? [] : layout.shape
    const dtype = scalar ? 'I64' : 'F32'
    if (tensor.dtype !== dtype || tensor.shape.join() !== expected.join())
      throw new SemgenError(
        'BAD_CHECKPOINT',
        `${path} holds another network: ${layout.key} is ${tensor.dtype} [${tensor.shape.join(', ')}] there, and ${dtype} [${expected.join(', ')}] here.`,
      )
    values.set(
      layout.key,
      scalar ? Int32Array.from(tensor.data as BigInt64Array, Number) : (tensor.data as Float32Array),
    )
  }
  return values
}
