import type { TensorId } from '../engine/index.js'
import type { Graph, Value } from './graph.js'

/** How batch normalisation works in a program that is being recorded. */
export interface NormMode {
  /** Statistics of the batch, or the running ones. */
  readonly statistics: 'batch' | 'running'
  /** Whether a run moves the running statistics. */
  readonly update: boolean
  /** By which part of the way to the batch's: usualMomentum unless told. */
  readonly momentum: number
}

/** As PyTorch's BatchNorm3d. */
const epsilon = 1e-5
export const usualMomentum = 0.1

/** How the decoder's transposed convolution and first convolution are computed: engine/ops.h, up_unit. */
export type DecoderMode = 'auto' | 'composed' | 'two-step'

/** A network's parameters while a program is recorded. */
export interface Parameters {
  get(key: string): Value
  /** A dense float32 tensor for the gradient of a parameter. */
  gradient(key: string): TensorId
}

/** conv 3x3x3 + bias + batch norm + ReLU on x, or on the concatenation of x and skip along channels. */
export function convUnit(graph: Graph, p: Parameters, prefix: string, mode: NormMode, x: Value, skip?: Value): Value {
  const conv = { stride: [1, 1, 1], padding: [1, 1, 1], statistics: mode.statistics, epsilon }
  const weight = p.get(`${prefix}.conv1.weight`)
  const unit = prepareUnit(graph, p, prefix, weight, x, skip)
  graph.record('conv_unit', { x, skip, weight, ...unit.inputs }, unit.outputs, {
    ...conv,
    momentum: mode.momentum,
    update: mode.update,
  })
  graph.onBackward(unit.y, (dy) => {
    const [dx, dskip] = [graph.wanted(x), graph.wanted(skip)]
    graph.record(
      'conv_unit_grad',
      { x, skip, weight, ...unit.saved, dy },
      { dx, dskip, dweight: p.gradient(`${prefix}.conv1.weight`), ...unitGradients(p, prefix) },
      conv,
    )
    graph.contribute(x, dx)
    graph.contribute(skip, dskip)
  })
  return unit.y
}

/** The decoder's first unit: x doubled by a transposed convolution, beside the skip, through a conv unit. */
export function upUnit(
  graph: Graph,
  p: Parameters,
  prefix: string,
  mode: NormMode,
  decoder: DecoderMode,
  x: Value,
  skip: Value,
): Value {
  const attributes = { statistics: mode.statistics, epsilon, decoder }
  const up_weight = p.get(`${prefix}.up_conv.weight`)
  const weight = p.get(`${prefix}.ops.0.conv1.weight`)
  const inputs = { x, skip, up_weight, up_bias: p.get(`${prefix}.up_conv.bias`), weight }
  const unit = prepareUnit(graph, p, `${prefix}.ops.0`, weight, skip, x, up_weight)
  const up = graph.activation([...skip.shape.slice(0, 4), up_weight.shape[1]!], false)
  graph.record(
    'up_unit',
    { ...inputs, ...unit.inputs },
    { ...unit.outputs, up },
    { ...attributes, momentum: mode.momentum, update: mode.update },
  )
  graph.onBackward(unit.y, (dy) => {
    const [dx, dskip] = [graph.wanted(x), graph.wanted(skip)]
    const gradients = {
      dup_weight: p.gradient(`${prefix}.up_conv.weight`),
      dup_bias: p.gradient(`${prefix}.up_conv.bias`),
      dweight: p.gradient(`${prefix}.ops.0.conv1.weight`),
      ...unitGradients(p, `${prefix}.ops.0`),
    }
    graph.record('up_unit_grad', { ...inputs, ...unit.saved, up, dy }, { dx, dskip, ...gradients }, attributes)
    graph.contribute(x, dx)
    graph.contribute(skip, dskip)
  })
  return unit.y
}

/** What both kinds of unit hand to their operations. The extents of y are those of `like`. */
function prepareUnit(
  graph: Graph,
  p: Parameters,
  prefix: string,
  weight: Value,
  like: Value,
  ...others: (Value | undefined)[]
) {
  const gamma = p.get(`${prefix}.bn1.weight`)
  const beta = p.get(`${prefix}.bn1.bias`)
  const channels = weight.shape[0]!
  const shape = [...like.shape.slice(0, 4), channels]
  const y = graph.activation(
    shape,
    [weight, gamma, beta, like, ...others].some((value) => value?.differentiable),
  )
  const z = graph.activation(shape, false)
  const mean = graph.activation([channels], false, 'f32')
  const variance = graph.activation([channels], false, 'f32')
  const mask = graph.program.opaque()
  return {
    y,
    inputs: {
      bias: p.get(`${prefix}.conv1.bias`),
      gamma,
      beta,
      running_mean: p.get(`${prefix}.bn1.running_mean`),
      running_variance: p.get(`${prefix}.bn1.running_var`),
    },
    outputs: { y, z, mean, variance, mask },
    saved: { gamma, beta, z, mean, variance, mask },
  }
}

function unitGradients(p: Parameters, prefix: string) {
  return {
    dbias: p.gradient(`${prefix}.conv1.bias`),
    dgamma: p.gradient(`${prefix}.bn1.weight`),
    dbeta: p.gradient(`${prefix}.bn1.bias`),
  }
}

/** A convolution without padding: the last layer, 1x1x1. */
export function pointwise(graph: Graph, p: Parameters, prefix: string, x: Value): Value {
  return weighted(graph, p, prefix, x, 'conv3d', { stride: [1, 1, 1], padding: [0, 0, 0] }, (weight) => [
    ...x.shape.slice(0, 4),
    weight[0]!,
  ])
}

/** Doubles the extents by a transposed convolution, k2 s2. */
export function doubling(graph: Graph, p: Parameters, prefix: string, x: Value): Value {
  return weighted(graph, p, prefix, x, 'conv_transpose3d', { stride: [2, 2, 2], padding: [0, 0, 0] }, (weight) => [
    x.shape[0]!,
    ...x.shape.slice(1, 4).map((extent) => 2 * extent),
    weight[1]!,
  ])
}

/** [N, I] -> [N, O], float32. */
export function linear(graph: Graph, p: Parameters, prefix: string, x: Value): Value {
  return weighted(graph, p, prefix, x, 'linear', {}, (weight) => [x.shape[0]!, weight[0]!], 'f32')
}

/** Any operation of x, a weight and a bias whose gradient is named `<operation>_grad`. */
function weighted(
  graph: Graph,
  p: Parameters,
  prefix: string,
  x: Value,
  operation: string,
  attributes: Record<string, readonly number[]>,
  shapeOf: (weight: readonly number[]) => number[],
  dtype: 'activation' | 'f32' = 'activation',
): Value {
  const weight = p.get(`${prefix}.weight`)
  const y = graph.activation(shapeOf(weight.shape), x.differentiable || weight.differentiable, dtype)
  graph.record(operation, { x, weight, bias: p.get(`${prefix}.bias`) }, { y }, attributes)
  graph.onBackward(y, (dy) => {
    const dx = graph.wanted(x, dtype)
    const gradients = { dweight: p.gradient(`${prefix}.weight`), dbias: p.gradient(`${prefix}.bias`) }
    graph.record(`${operation}_grad`, { x, weight, dy }, { dx, ...gradients }, attributes)
    graph.contribute(x, dx)
  })
  return y
}

/** Halves the extents, keeping the largest of each 2x2x2. */
export function maxPool(graph: Graph, x: Value): Value {
  const attributes = { kernel: [2, 2, 2], stride: [2, 2, 2] }
  const [images, ...rest] = x.shape
  const y = graph.activation([images!, ...rest.slice(0, 3).map((extent) => extent / 2), rest[3]!], x.differentiable)
  const mask = graph.program.opaque()
  graph.record('max_pool', { x }, { y, mask }, attributes)
  graph.onBackward(y, (dy) => {
    const dx = graph.wanted(x)
    if (dx === undefined) return
    graph.record('max_pool_grad', { mask, dy }, { dx }, attributes)
    graph.contribute(x, dx)
  })
  return y
}

/** [N, X, Y, Z, C] -> [N, C], float32. */
export function globalAveragePool(graph: Graph, x: Value): Value {
  const y = graph.activation([x.shape[0]!, x.shape[4]!], x.differentiable, 'f32')
  graph.record('global_avg_pool', { x }, { y })
  graph.onBackward(y, (dy) => {
    const dx = graph.wanted(x)
    if (dx === undefined) return
    graph.record('global_avg_pool_grad', { dy }, { dx })
    graph.contribute(x, dx)
  })
  return y
}
