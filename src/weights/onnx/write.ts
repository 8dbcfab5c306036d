import { SemgenError } from '../../errors.js'
import { writeAtomically } from '../../files.js'
import { levelName, type NetworkShape, stateLayout } from '../../nn/index.js'
import { type Extents, OnnxModel, opset } from './model.js'

/** A protobuf message ends here. */
const modelLimit = 2 ** 31 - 1
/** As PyTorch's BatchNorm3d. */
const epsilon = 1e-5
const kernel3 = { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1] }

/**
 * Writes a network for ONNX runtimes. Input `image` [batch, channels, x, y, z], intensities prepared as in training;
 * outputs `restored` [batch, outputs, x, y, z] after the sigmoid, and `logits` [batch, classes] of networks that
 * classify, before the softmax. Batch and extents may vary from run to run; extents are multiples of 2^(depth - 1).
 * @param values the state dict by published key
 * @throws SemgenError UNSUPPORTED above 2 GiB, IO
 */
export async function writeOnnx(
  path: string,
  shape: NetworkShape,
  values: ReadonlyMap<string, Float32Array | Int32Array>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const step = 2 ** (shape.depth - 1)
  const model = new GraphBuilder(shape, values).build()
  const file = model.file(
    shape.kind,
    `image: [batch, channels, x, y, z], extents in multiples of ${step}. Opset ${opset}. Normalises by ${shape.norm} statistics.`,
    metadata,
  )
  if (file.size > modelLimit)
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} would take ${file.size} bytes, and ONNX ends at 2 GiB: use .safetensors.`,
    )
  await writeAtomically(path, file.parts())
}

class GraphBuilder {
  readonly #model = new OnnxModel()
  readonly #shape: NetworkShape
  readonly #values: ReadonlyMap<string, Float32Array | Int32Array>
  readonly #extents: ReadonlyMap<string, readonly number[]>

  constructor(shape: NetworkShape, values: ReadonlyMap<string, Float32Array | Int32Array>) {
    this.#shape = shape
    this.#values = values
    this.#extents = new Map(stateLayout(shape).map((layout) => [layout.key, layout.shape]))
  }

  build(): OnnxModel {
    const shape = this.#shape
    const model = this.#model
    const space: Extents = ['x', 'y', 'z']
    let x = model.input('image', ['batch', shape.inputChannels, ...space])
    const skips: string[] = []
    for (let level = 0; level < shape.depth; level++) {
      if (level > 0) x = model.node('MaxPool', [x], { kernel_shape: [2, 2, 2], strides: [2, 2, 2] })
      const prefix = `down_tr${levelName(level)}`
      x = this.#unit(`${prefix}.ops.1`, this.#unit(`${prefix}.ops.0`, x))
      skips.push(x)
    }
    if (shape.kind === 'y-net') this.#classes('clc_out.fc1', this.#unit('clc_out', x))
    if (shape.kind === 'classifier') {
      this.#classes('fc', x)
      return model
    }
    for (let level = shape.depth - 2; level >= 0; level--) {
      const prefix = `up_tr${levelName(level)}`
      x = model.node('ConvTranspose', [x, ...this.#both(`${prefix}.up_conv`)], {
        kernel_shape: [2, 2, 2],
        strides: [2, 2, 2],
      })
      if (shape.skips) x = model.node('Concat', [x, skips[level]!], { axis: 1 })
      x = this.#unit(`${prefix}.ops.1`, this.#unit(`${prefix}.ops.0`, x))
    }
    const last = model.node('Conv', [x, ...this.#both('out_tr.final_conv')], { kernel_shape: [1, 1, 1] })
    model.node('Sigmoid', [last], {}, 'restored')
    model.output('restored', ['batch', shape.outputChannels, ...space])
    return model
  }

  /** Convolution, normalisation, ReLU. */
  #unit(prefix: string, x: string): string {
    const y = this.#model.node('Conv', [x, ...this.#both(`${prefix}.conv1`)], kernel3)
    const normalised = this.#shape.norm === 'running' ? this.#byRunning(prefix, y) : this.#byBatch(prefix, y)
    return this.#model.node('Relu', [normalised])
  }

  #byRunning(prefix: string, x: string): string {
    const inputs = ['weight', 'bias', 'running_mean', 'running_var'].map((name) =>
      this.#constant(`${prefix}.bn1.${name}`),
    )
    return this.#model.node('BatchNormalization', [x, ...inputs], { epsilon })
  }

  /** Written out: runtimes made for inference do not take BatchNormalization in training mode. */
  #byBatch(prefix: string, x: string): string {
    const model = this.#model
    const channels = this.#extents.get(`${prefix}.bn1.weight`)![0]!
    const perChannel = (name: string) =>
      model.constant(
        `${prefix}.bn1.${name}`,
        [1, channels, 1, 1, 1],
        this.#values.get(`${prefix}.bn1.${name}`) as Float32Array,
      )
    const over = { axes: [0, 2, 3, 4], keepdims: 1 }
    const centred = model.node('Sub', [x, model.node('ReduceMean', [x], over)])
    const variance = model.node('ReduceMean', [model.node('Mul', [centred, centred])], over)
    const small = model.constant(`${prefix}.bn1.epsilon`, [], Float32Array.of(epsilon))
    const deviation = model.node('Sqrt', [model.node('Add', [variance, small])])
    const scaled = model.node('Mul', [model.node('Div', [centred, deviation]), perChannel('weight')])
    return model.node('Add', [scaled, perChannel('bias')])
  }

  /** The average over all voxels, through one linear layer. */
  #classes(prefix: string, x: string): void {
    const pooled = this.#model.node('Flatten', [this.#model.node('GlobalAveragePool', [x])], { axis: 1 })
    this.#model.node('Gemm', [pooled, ...this.#both(prefix)], { transB: 1 }, 'logits')
    this.#model.output('logits', ['batch', this.#shape.classes])
  }

  #both(prefix: string): [string, string] {
    return [this.#constant(`${prefix}.weight`), this.#constant(`${prefix}.bias`)]
  }

  #constant(key: string): string {
    return this.#model.constant(key, this.#extents.get(key)!, this.#values.get(key) as Float32Array)
  }
}
