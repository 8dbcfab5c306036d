import { SemgenError, shown } from '../../errors.js'
import { elements, type StoredTensor } from '../safetensors.js'
import type { WeightsFile } from '../weights-file.js'
import { Hdf5File } from './hdf5.js'
import { kerasLayers, kerasValues } from './layers.js'
import { type KerasTensor, publishedTensors } from './published-keys.js'

/**
 * The Keras weights of a U-Net 3D (the published Genesis_Chest_CT.h5 and its kin) under the keys of the PyTorch network.
 * Its decoder doubles extents by repeating voxels: a transposed convolution whose kernels are the identity, which is
 * what is given here. Layers that belong to no unit keep their Keras names.
 */
export class KerasFile implements WeightsFile {
  readonly path: string
  readonly format = 'Keras'
  readonly entries: WeightsFile['entries']
  readonly metadata: Readonly<Record<string, string>>
  readonly #file: Hdf5File
  readonly #tensors: ReadonlyMap<string, KerasTensor>

  private constructor(file: Hdf5File) {
    this.path = file.path
    this.#file = file
    this.#tensors = publishedTensors(file.path, kerasLayers(file))
    // Keras normalises with the moving statistics at inference.
    this.metadata = { norm: 'running' }
    this.entries = new Map([...this.#tensors].map(([key, { shape }]) => [key, { dtype: 'F32', shape }]))
  }

  /** @throws SemgenError IO, BAD_FILE when it is damaged or no weights of Keras 2 */
  static async open(path: string): Promise<KerasFile> {
    const file = await Hdf5File.open(path)
    try {
      return new KerasFile(file)
    } catch (error) {
      file.close()
      throw error
    }
  }

  async read(key: string): Promise<StoredTensor> {
    const tensor = this.#tensors.get(key)
    if (!tensor) throw new SemgenError('BAD_FILE', `${this.path} has no tensor ${shown(key)}.`)
    const { shape, source } = tensor
    if (source === 'identity') return { dtype: 'F32', shape, data: identity(shape) }
    const values = kerasValues(this.#file, source.weight)
    const data = source.order ? permuted(values, source.weight.shape, source.order) : values
    if (source.add) for (let i = 0; i < data.length; i++) data[i]! += source.add
    return { dtype: 'F32', shape, data }
  }

  async close(): Promise<void> {
    this.#file.close()
  }
}

/** [C, C, 2, 2, 2]: channel c goes to channel c alone, to each of eight voxels as it is. */
function identity(shape: readonly number[]): Float32Array {
  const data = new Float32Array(elements(shape))
  if (shape.length === 1) return data
  for (let channel = 0; channel < shape[0]!; channel++) {
    const start = (channel * shape[1]! + channel) * 8
    data.fill(1, start, start + 8)
  }
  return data
}

/** Axis i of the result is axis order[i] of `from`, whose shape is `shape`. */
function permuted(from: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)))
  const extents = order.map((axis) => shape[axis]!)
  const steps = order.map((axis) => strides[axis]!)
  const to = new Float32Array(from.length)
  const index = new Array<number>(order.length).fill(0)
  for (let i = 0, at = 0; i < to.length; i++) {
    to[i] = from[at]!
    for (let axis = order.length - 1; axis >= 0; axis--) {
      at += steps[axis]!
      if (++index[axis]! < extents[axis]!) break
      at -= steps[axis]! * extents[axis]!
      index[axis] = 0
    }
  }
  return to
}
