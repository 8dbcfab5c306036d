import { SemgenError, shown } from '../errors.js'
import type { Extents } from '../extents.js'

/** Which network, and how large. Everything else about it follows. */
export interface NetworkShape {
  /**
   * `u-net` restores; `y-net` restores and classifies; `auto-encoder` is a U-Net that is trained for its latent vector;
   * `classifier` is the encoder, a global average pool and one linear layer.
   */
  readonly kind: 'y-net' | 'u-net' | 'auto-encoder' | 'classifier'
  /** Channels of the first conv unit: 32 as published. */
  readonly baseWidth: number
  /** Levels of resolution: 4 as published. */
  readonly depth: number
  readonly inputChannels: number
  readonly outputChannels: number
  /** Outputs of the classification head; 0 without one. */
  readonly classes: number
  /** Voxels of one input cube, x, y, z. */
  readonly patch: Extents
  /** Whether the decoder sees the encoder's levels. */
  readonly skips: boolean
  /**
   * What normalises at inference: `batch` statistics always (as the published weights expect) or `running` ones.
   * Training uses batch statistics either way.
   */
  readonly norm: 'batch' | 'running'
}

/** The published Y-Net 3D: 33,277,613 parameters at 44 classes. */
export function publishedYNet(classes = 44): NetworkShape {
  return { ...publishedUNet(), kind: 'y-net', classes }
}

/** The published U-Net 3D: 19,073,665 parameters. */
export function publishedUNet(): NetworkShape {
  return {
    kind: 'u-net',
    baseWidth: 32,
    depth: 4,
    inputChannels: 1,
    outputChannels: 1,
    classes: 0,
    patch: [64, 64, 32],
    skips: true,
    norm: 'batch',
  }
}

/** Channels after level `level` of the encoder, and after the same level of the decoder. */
export function levelWidth(shape: NetworkShape, level: number): number {
  return shape.baseWidth * 2 ** (level + 1)
}

/** Length of the latent vector: the bottleneck's channels. */
export function latentWidth(shape: NetworkShape): number {
  return levelWidth(shape, shape.depth - 1)
}

export const hasDecoder = (shape: NetworkShape): boolean => shape.kind !== 'classifier'
export const hasHead = (shape: NetworkShape): boolean => shape.kind === 'y-net'

/** The published name of a level: down_tr64, down_tr128, ... by level, whatever the width. */
export const levelName = (level: number): string => String(64 * 2 ** level)

/** @throws SemgenError BAD_OPTION, naming the option and what it takes */
export function checkShape(shape: NetworkShape): void {
  const whole = (name: string, value: number, low: number, high: number) => {
    if (!Number.isInteger(value) || value < low || value > high)
      throw new SemgenError('BAD_OPTION', `${name} takes a whole number from ${low} to ${high}, not ${shown(value)}.`)
  }
  whole('--base-width', shape.baseWidth, 1, 1024)
  whole('--depth', shape.depth, 2, 7)
  whole('The number of input channels', shape.inputChannels, 1, 1024)
  whole('The number of output channels', shape.outputChannels, 1, 1024)
  const classified = shape.kind === 'y-net' || shape.kind === 'classifier'
  whole('The number of classes', shape.classes, classified ? 1 : 0, classified ? 1_000_000 : 0)
  const step = 2 ** (shape.depth - 1)
  for (const extent of shape.patch)
    if (!Number.isInteger(extent) || extent < step || extent % step !== 0 || extent > 4096)
      throw new SemgenError(
        'BAD_OPTION',
        `--patch takes extents that are multiples of ${step} (depth ${shape.depth} halves them ${shape.depth === 2 ? 'once' : `${shape.depth - 1} times`}), not ${shape.patch.join('x')}.`,
      )
}

/** How PyTorch's default initialisation treats a tensor. */
export type Initialisation =
  /** Uniform in +-1 / sqrt(fanIn): kaiming_uniform with a = sqrt(5), and the bias rule that goes with it. */
  { readonly rule: 'uniform'; readonly fanIn: number } | { readonly rule: 'constant'; readonly value: number }

export interface TensorLayout {
  readonly key: string
  readonly shape: readonly number[]
  readonly dtype: 'f32' | 'i32'
  /** Whether the optimizer moves it; the rest are statistics. */
  readonly trainable: boolean
  readonly initialisation: Initialisation
}

/** Every tensor of a network's state dict, by published key, in the published order. */
export function stateLayout(shape: NetworkShape): TensorLayout[] {
  const tensors: TensorLayout[] = []
  const weight = (key: string, extents: readonly number[], fanIn: number) =>
    tensors.push({ key, shape: extents, dtype: 'f32', trainable: true, initialisation: { rule: 'uniform', fanIn } })
  const constant = (key: string, channels: number, value: number, trainable: boolean, dtype: 'f32' | 'i32' = 'f32') =>
    tensors.push({ key, shape: [channels], dtype, trainable, initialisation: { rule: 'constant', value } })
  const unit = (prefix: string, input: number, output: number) => {
    weight(`${prefix}.conv1.weight`, [output, input, 3, 3, 3], input * 27)
    weight(`${prefix}.conv1.bias`, [output], input * 27)
    constant(`${prefix}.bn1.weight`, output, 1, true)
    constant(`${prefix}.bn1.bias`, output, 0, true)
    constant(`${prefix}.bn1.running_mean`, output, 0, false)
    constant(`${prefix}.bn1.running_var`, output, 1, false)
    constant(`${prefix}.bn1.num_batches_tracked`, 1, 0, false, 'i32')
  }

  let channels = shape.inputChannels
  for (let level = 0; level < shape.depth; level++) {
    const inner = shape.baseWidth * 2 ** level
    unit(`down_tr${levelName(level)}.ops.0`, channels, inner)
    unit(`down_tr${levelName(level)}.ops.1`, inner, levelWidth(shape, level))
    channels = levelWidth(shape, level)
  }
  if (hasDecoder(shape)) {
    for (let level = shape.depth - 2; level >= 0; level--) {
      const prefix = `up_tr${levelName(level)}`
      const width = levelWidth(shape, level)
      // PyTorch counts a transposed convolution's fan-in from its second extent.
      weight(`${prefix}.up_conv.weight`, [channels, channels, 2, 2, 2], channels * 8)
      weight(`${prefix}.up_conv.bias`, [channels], channels * 8)
      unit(`${prefix}.ops.0`, channels + (shape.skips ? width : 0), width)
      unit(`${prefix}.ops.1`, width, width)
      channels = width
    }
    weight('out_tr.final_conv.weight', [shape.outputChannels, channels, 1, 1, 1], channels)
    weight('out_tr.final_conv.bias', [shape.outputChannels], channels)
  }
  const latent = latentWidth(shape)
  if (hasHead(shape)) {
    unit('clc_out', latent, 2 * latent)
    weight('clc_out.fc1.weight', [shape.classes, 2 * latent], 2 * latent)
    weight('clc_out.fc1.bias', [shape.classes], 2 * latent)
  }
  if (shape.kind === 'classifier') {
    weight('fc.weight', [shape.classes, latent], latent)
    weight('fc.bias', [shape.classes], latent)
  }
  return tensors
}
