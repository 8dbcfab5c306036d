import { SemgenError } from '../../errors.js'
import { levelName } from '../../nn/index.js'
import type { KerasLayer, KerasWeight } from './layers.js'

/** How a tensor under a published key is made from a weight of Keras. */
export interface KerasTensor {
  readonly shape: readonly number[]
  readonly source:
    | {
        readonly weight: KerasWeight
        /** Axis i of the tensor is axis order[i] of the weight; absent where it is taken as it is. */
        readonly order?: readonly number[]
        /** Added to every value. */
        readonly add?: number
      }
    /** The kernels (or, of one axis, the bias) of a transposed convolution that repeats voxels. */
    | 'identity'
}

/** Channels whose identity, 8 x 4 bytes each of their pairs, takes 1 GiB. The published network doubles 512. */
const channelLimit = 5792
/** Keras's default, and that of the published PyTorch network. */
const kerasEpsilon = 1e-3
const epsilon = 1e-5

interface Unit {
  readonly conv: KerasLayer
  readonly kernel: KerasWeight
  readonly norm: KerasLayer | undefined
}

/**
 * Finds the encoder's and decoder's units among layers and names their weights as PyTorch does. Units are taken in the
 * order of `depth_0_conv`, `depth_1_conv`, ... where layers are named so (as published), else in the model's order; the
 * decoder begins where channels become fewer. The variance gets the difference of the two epsilons, so that
 * normalisation by running statistics is the same.
 * @throws SemgenError BAD_FILE when the convolutions are not those of a U-Net 3D
 */
export function publishedTensors(path: string, layers: readonly KerasLayer[]): Map<string, KerasTensor> {
  const tensors = new Map<string, KerasTensor>()
  const used = new Set<KerasLayer>()
  const units = unitsOf(layers)
  const outputs = units.map(({ kernel }) => kernel.shape[4]!)
  const turn = outputs.findIndex((channels, i) => i > 0 && channels < outputs[i - 1]!)
  const encoder = turn < 0 ? units.length : turn
  if (encoder < 4 || encoder % 2 !== 0 || (units.length - encoder) % 2 !== 0 || units.length > 2 * encoder - 2)
    throw new SemgenError(
      'BAD_FILE',
      `${path} holds no U-Net 3D: its ${units.length} convolutions of 3x3x3 (${encoder} until channels become fewer) make no pairs.`,
    )
  const unit = (prefix: string, { conv, kernel, norm }: Unit) => {
    used.add(conv)
    convolution(tensors, `${prefix}.conv1`, conv, kernel)
    if (norm) {
      used.add(norm)
      normalisation(tensors, `${prefix}.bn1`, norm)
    }
  }
  for (let i = 0; i < encoder; i++) unit(`down_tr${levelName(i >> 1)}.ops.${i % 2}`, units[i]!)
  const doublings = kernelsOf(layers, 2)
  for (let i = encoder; i < units.length; i++) {
    const prefix = `up_tr${levelName(encoder / 2 - 2 - ((i - encoder) >> 1))}`
    if (i % 2 === 0) {
      const [layer, kernel] = doublings[(i - encoder) >> 1] ?? []
      if (layer) used.add(layer)
      if (outputs[i - 1]! > channelLimit)
        throw new SemgenError('BAD_FILE', `${path} holds no U-Net 3D: it would double ${outputs[i - 1]} channels.`)
      doubling(tensors, `${prefix}.up_conv`, outputs[i - 1]!, layer, kernel)
    }
    unit(`${prefix}.ops.${i % 2}`, units[i]!)
  }
  const [last, kernel] = kernelsOf(layers, 1).at(-1) ?? []
  if (last && kernel) {
    used.add(last)
    convolution(tensors, 'out_tr.final_conv', last, kernel)
  }
  for (const layer of layers)
    if (!used.has(layer))
      for (const [name, weight] of layer.weights)
        tensors.set(`${layer.name}/${name}`, { shape: weight.shape, source: { weight } })
  return tensors
}

function unitsOf(layers: readonly KerasLayer[]): Unit[] {
  const number = ({ name }: KerasLayer) => Number(/^depth_(\d+)_conv$/.exec(name)?.[1] ?? Number.NaN)
  const all = kernelsOf(layers, 3)
  const numbered = all.filter(([layer]) => Number.isInteger(number(layer)))
  const chosen = numbered.length > 0 ? numbered.sort(([a], [b]) => number(a) - number(b)) : all
  return chosen.map(([conv, kernel]) => ({ conv, kernel, norm: normOf(layers, conv) }))
}

/** The normalisation that follows a convolution: by name as published, else the next layer with weights. */
function normOf(layers: readonly KerasLayer[], conv: KerasLayer): KerasLayer | undefined {
  const named = layers.find(({ name }) => name === conv.name.replace(/_conv$/, '_bn') && name !== conv.name)
  const next = layers.slice(layers.indexOf(conv) + 1).find(({ weights }) => weights.size > 0)
  const found = named ?? next
  return found?.weights.has('moving_mean') ? found : undefined
}

/** Layers with cubic 3-D kernels of this extent. */
function kernelsOf(layers: readonly KerasLayer[], extent: number): [KerasLayer, KerasWeight][] {
  return layers.flatMap((layer) => {
    const kernel = layer.weights.get('kernel')
    const fits = kernel?.shape.length === 5 && kernel.shape.slice(0, 3).every((side) => side === extent)
    return fits ? [[layer, kernel] as [KerasLayer, KerasWeight]] : []
  })
}

/** Kernels are (x, y, z, in, out) in Keras and (out, in, x, y, z) in PyTorch. */
function convolution(tensors: Map<string, KerasTensor>, prefix: string, layer: KerasLayer, kernel: KerasWeight): void {
  transposed(tensors, `${prefix}.weight`, kernel)
  plain(tensors, `${prefix}.bias`, layer.weights.get('bias'))
}

/** Transposed ones are (x, y, z, out, in) in Keras and (in, out, x, y, z) in PyTorch. */
function doubling(
  tensors: Map<string, KerasTensor>,
  prefix: string,
  channels: number,
  layer: KerasLayer | undefined,
  kernel: KerasWeight | undefined,
): void {
  if (layer && kernel) {
    convolution(tensors, prefix, layer, kernel)
    return
  }
  tensors.set(`${prefix}.weight`, { shape: [channels, channels, 2, 2, 2], source: 'identity' })
  tensors.set(`${prefix}.bias`, { shape: [channels], source: 'identity' })
}

function normalisation(tensors: Map<string, KerasTensor>, prefix: string, layer: KerasLayer): void {
  const { weights } = layer
  plain(tensors, `${prefix}.weight`, weights.get('gamma'))
  plain(tensors, `${prefix}.bias`, weights.get('beta'))
  plain(tensors, `${prefix}.running_mean`, weights.get('moving_mean'))
  plain(tensors, `${prefix}.running_var`, weights.get('moving_variance'), (layer.epsilon ?? kerasEpsilon) - epsilon)
}

function transposed(tensors: Map<string, KerasTensor>, key: string, weight: KerasWeight): void {
  const order = [4, 3, 0, 1, 2]
  tensors.set(key, { shape: order.map((axis) => weight.shape[axis]!), source: { weight, order } })
}

function plain(tensors: Map<string, KerasTensor>, key: string, weight: KerasWeight | undefined, add = 0): void {
  if (weight) tensors.set(key, { shape: weight.shape, source: { weight, add } })
}
