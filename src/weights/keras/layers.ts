import { SemgenError, shown } from '../../errors.js'
import { type Hdf5File, texts } from './hdf5.js'

/** A layer of a Keras model with its weights: `kernel`, `bias`, `gamma`, ... by the last part of their names. */
export interface KerasLayer {
  readonly name: string
  readonly weights: ReadonlyMap<string, KerasWeight>
  /** What a batch normalisation adds to the variance; undefined where the file does not say. */
  readonly epsilon: number | undefined
}

export interface KerasWeight {
  /** Of the dataset in the file. */
  readonly path: string
  readonly shape: readonly number[]
}

/** The largest kernel of the published network has 14 MB. */
const weightLimit = 2 ** 30
const layerLimit = 10_000
/** Weights hardly compress; what claims to by more than this is a bomb, or has no values at all. */
const compressionLimit = 64

/**
 * Layers in the model's order, with the shapes of their weights: files of model.save and of save_weights in Keras 2,
 * whose groups carry `layer_names` and `weight_names`.
 * @throws SemgenError BAD_FILE when there are none, a weight is missing, is not float32, or is larger than any network's
 */
export function kerasLayers(file: Hdf5File): KerasLayer[] {
  return file.ask((root) => {
    const base = root.keys().includes('model_weights') ? 'model_weights' : ''
    const home = base === '' ? root : root.get(base)
    const names = home && 'attrs' in home && 'keys' in home ? texts(home, 'layer_names') : []
    if (names.length === 0)
      throw new SemgenError(
        'BAD_FILE',
        `${file.path} is an HDF5 file without Keras's "layer_names": weights of Keras 2, from model.save or save_weights, are read.`,
      )
    if (names.length > layerLimit) throw new SemgenError('BAD_FILE', `${file.path} has ${names.length} layers.`)
    const epsilons = epsilonsOf(texts(root, 'model_config').join(''))
    const layers = names.map((name) => {
      const path = `${base}/${name}`
      const group = root.get(path)
      if (!group || !('attrs' in group && 'keys' in group))
        throw new SemgenError('BAD_FILE', `${file.path} is damaged: its layer ${shown(name)} is missing.`)
      const weights = texts(group, 'weight_names').map((weight) => weightOf(file, `${path}/${weight}`))
      return { name, weights: new Map(weights), epsilon: epsilons.get(name) }
    })
    const bytes = layers.reduce((sum, { weights }) => sum + bytesOf(weights), 0)
    if (bytes > compressionLimit * file.size)
      throw new SemgenError(
        'BAD_FILE',
        `${file.path} is damaged: its ${file.size} bytes are said to hold weights of ${bytes}.`,
      )
    return layers
  })
}

/** A weight's float32 values in C order. */
export function kerasValues(file: Hdf5File, { path, shape }: KerasWeight): Float32Array {
  const value = file.ask((root) => {
    const dataset = root.get(path)
    return dataset && 'value' in dataset ? dataset.value : undefined
  })
  if (!(value instanceof Float32Array) || value.length !== shape.reduce((product, extent) => product * extent, 1))
    throw new SemgenError('BAD_FILE', `${file.path} is damaged: ${shown(path)} does not hold its values.`)
  return value
}

function bytesOf(weights: ReadonlyMap<string, KerasWeight>): number {
  return [...weights.values()].reduce((sum, { shape }) => sum + shape.reduce((size, extent) => size * extent, 4), 0)
}

function weightOf(file: Hdf5File, path: string): [string, KerasWeight] {
  const dataset = file.ask((root) => root.get(path))
  const damaged = (why: string) =>
    new SemgenError('BAD_FILE', `${file.path} is damaged: its weight ${shown(path)} ${why}.`)
  if (!dataset || !('dtype' in dataset && 'shape' in dataset)) throw damaged('is missing')
  const { shape, dtype } = dataset as { shape: readonly number[] | null; dtype: unknown }
  if (dtype !== '<f') throw damaged(`is of type ${shown(dtype)}, and float32 is read`)
  if (!shape || shape.reduce((product, extent) => product * extent, 4) > weightLimit)
    throw damaged(`has the impossible shape ${shown(shape)}`)
  // Keras 2 ends names with ":0", TensorFlow's output number.
  return [path.split('/').at(-1)!.replace(/:\d+$/, ''), { path, shape }]
}

/** Each normalisation's epsilon from the model's own description, JSON of Keras. */
function epsilonsOf(config: string): Map<string, number> {
  const epsilons = new Map<string, number>()
  try {
    const model = JSON.parse(config) as { config?: { layers?: unknown } }
    const layers = Array.isArray(model.config?.layers) ? model.config.layers : []
    for (const layer of layers) {
      const { name, epsilon } = (layer?.config ?? {}) as Record<string, unknown>
      if (typeof name === 'string' && typeof epsilon === 'number' && epsilon >= 0 && epsilon < 1)
        epsilons.set(name, epsilon)
    }
  } catch {
    // save_weights writes no description: Keras's default holds.
  }
  return epsilons
}
