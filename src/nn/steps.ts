import type { Plan, Program, Tensor, TensorId } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { Graph, type Value } from './graph.js'
import { type DecoderMode, globalAveragePool, usualMomentum } from './layers.js'
import { type Network, NetworkParameters, recordForward } from './network.js'
import type { OptimizerOptions } from './optimizer.js'
import { hasDecoder, latentWidth } from './shape.js'
import { Update } from './update.js'

/** The loss of pre-training: restorationWeight * MSE(sigmoid(restored), target) + classificationWeight * cross-entropy. */
export interface LossOptions {
  /** Cubes a run. */
  readonly batch: number
  /** 0: the decoder is not run at all. */
  readonly restorationWeight: number
  /** 0: the head is not run at all. */
  readonly classificationWeight: number
  readonly decoder?: DecoderMode | undefined
}

export interface StepOptions extends LossOptions {
  readonly optimizer: OptimizerOptions
  /** Parameters whose keys match stay as they are; their statistics still move. */
  readonly frozen?: RegExp | undefined
  /** By which part of the way a step moves the running statistics to its batch's: 0.1, as PyTorch's, unless told. */
  readonly normMomentum?: number | undefined
}

export interface Figures {
  /** The weighted sum. */
  readonly loss: number
  /** Mean squared error, unweighted; 0 without a decoder. */
  readonly restoration: number
  /** Cross-entropy, unweighted; 0 without a head. */
  readonly classification: number
  /** How many of the batch were named rightly; 0 without a head. */
  readonly correct: number
}

/** Inputs, network and losses of one program: what training and evaluation share. */
class Pass {
  readonly program: Program
  readonly graph: Graph
  readonly parameters: NetworkParameters
  /** [N, X, Y, Z, channels] */
  readonly input: Tensor
  /** [N, X, Y, Z, outputChannels] */
  readonly target: Tensor
  /** i32 [N] */
  readonly labels: Tensor
  /** sigmoid of the restored cubes, where asked for. */
  readonly output: Tensor | undefined
  /** What the head says of each cube, before the softmax, where asked for. */
  readonly logits: Tensor | undefined
  readonly #options: LossOptions
  readonly #restoration: Tensor
  readonly #classification: Tensor
  readonly #correct: Tensor

  constructor(
    network: Network,
    options: LossOptions & Pick<StepOptions, 'normMomentum'>,
    training: boolean,
    trained: (key: string) => boolean,
  ) {
    const { engine, shape } = network
    const { batch, restorationWeight, classificationWeight, decoder = 'auto' } = options
    checkOptions(network, options)
    this.#options = options
    this.program = engine.program()
    this.graph = new Graph(this.program)
    this.parameters = new NetworkParameters(this.graph, network, trained)
    this.input = engine.tensor([batch, ...shape.patch, shape.inputChannels])
    this.target = engine.tensor([batch, ...shape.patch, shape.outputChannels])
    this.labels = engine.tensor([batch], 'i32')
    this.#restoration = engine.tensor([1])
    this.#classification = engine.tensor([1])
    this.#correct = engine.tensor([1], 'i32')
    const { normMomentum: momentum = usualMomentum } = options
    const norm = training
      ? { statistics: 'batch' as const, update: true, momentum }
      : { statistics: shape.norm, update: false, momentum }
    const parts = {
      decoder: restorationWeight > 0,
      head: classificationWeight > 0,
      norm,
      decoderMode: decoder,
      recompute: training ? network.recompute : 0,
    }
    const { restored, logits } = recordForward(this.graph, shape, this.parameters, this.graph.bind(this.input), parts)
    if (restored) {
      this.output = training ? undefined : engine.tensor(this.target.shape)
      this.#recordLoss(
        'sigmoid_mse',
        restored,
        { target: this.graph.bind(this.target) },
        { loss: this.program.bind(this.#restoration), output: this.output && this.program.bind(this.output) },
        restorationWeight,
        training,
      )
    }
    if (logits) {
      if (!training) {
        this.logits = engine.tensor([batch, shape.classes])
        this.graph.record('cast', { x: logits }, { y: this.graph.bind(this.logits) })
      }
      this.#recordLoss(
        'softmax_cross_entropy',
        logits,
        { labels: this.graph.bind(this.labels) },
        { loss: this.program.bind(this.#classification), correct: this.program.bind(this.#correct) },
        classificationWeight,
        training,
        'f32',
      )
    }
  }

  #recordLoss(
    operation: string,
    logits: Value,
    inputs: Record<string, Value>,
    outputs: Record<string, TensorId | undefined>,
    weight: number,
    training: boolean,
    dtype: 'activation' | 'f32' = 'activation',
  ): void {
    const dlogits = training ? this.graph.wanted(logits, dtype) : undefined
    this.graph.record(operation, { logits, ...inputs }, { ...outputs, dlogits }, { weight })
    this.graph.contribute(logits, dlogits)
  }

  figures(): Figures {
    const { restorationWeight, classificationWeight } = this.#options
    const restoration = this.#restoration.read()[0]!
    const classification = this.#classification.read()[0]!
    return {
      loss: restoration + classification,
      restoration: restorationWeight > 0 ? restoration / restorationWeight : 0,
      classification: classificationWeight > 0 ? classification / classificationWeight : 0,
      correct: this.#correct.read<Int32Array>()[0]!,
    }
  }
}

function checkOptions(network: Network, options: LossOptions): void {
  const { batch, restorationWeight, classificationWeight } = options
  if (!Number.isInteger(batch) || batch < 1 || batch > 65536)
    throw new SemgenError('BAD_OPTION', `--batch takes a whole number from 1 to 65536, not ${batch}.`)
  if (!(restorationWeight >= 0 && classificationWeight >= 0 && restorationWeight + classificationWeight > 0))
    throw new SemgenError('BAD_OPTION', 'The weights of the losses are numbers from 0, of which one is above 0.')
  if (restorationWeight > 0 && !hasDecoder(network.shape))
    throw new SemgenError('BAD_OPTION', `A ${network.shape.kind} has no decoder to restore with.`)
  if (classificationWeight > 0 && network.shape.classes === 0)
    throw new SemgenError('BAD_OPTION', `A ${network.shape.kind} without classes has no head to classify with.`)
}

/** One training step as one program: forward, losses, backward, optimizer. Fill the inputs, then run. */
export class TrainingStep {
  readonly input: Tensor
  readonly target: Tensor
  readonly labels: Tensor
  readonly #pass: Pass
  readonly #update: Update

  constructor(network: Network, options: StepOptions) {
    const trained = new Set(network.trainable.filter((key) => !options.frozen?.test(key)))
    this.#pass = new Pass(network, options, true, (key) => trained.has(key))
    const { input, target, labels, graph, parameters } = this.#pass
    this.input = input
    this.target = target
    this.labels = labels
    const ran = options.classificationWeight > 0 && options.restorationWeight > 0 ? /./ : partOf(options)
    this.#update = new Update(network, graph, parameters, options.optimizer, ran)
  }

  /** Moments and step count, by name, to be saved and restored between runs. */
  get optimizerState(): ReadonlyMap<string, Tensor> {
    return this.#update.state
  }

  /** What the program uses; compiles it when it is not yet. */
  get plan(): Plan {
    return this.#pass.program.compile()
  }

  /** What `plan` would say, without the memory. The step cannot be run afterwards. */
  foresee(): Plan {
    return this.#pass.program.foresee()
  }

  /**
   * One step on what input, target and labels hold.
   * @throws an error with code ABORTED after abort(); the weights are then those before the step or after it, and running
   *   statistics may have moved
   */
  async run(learningRate: number): Promise<Figures & { gradientNorm: number; finite: boolean }> {
    const { gradientNorm, finite } = await this.#update.run(learningRate)
    return { ...this.#pass.figures(), gradientNorm, finite }
  }

  /** As run, with each operation's seconds in the order of `plan.operations`. */
  async profile(learningRate: number): Promise<Float64Array> {
    return this.#update.profile(learningRate)
  }

  abort(): void {
    this.#pass.program.abort()
  }

  dispose(): void {
    this.#pass.program.dispose()
  }
}

/** Keys of the parts that a one-sided loss runs: encoder and head, or encoder and decoder. */
function partOf(options: LossOptions): RegExp {
  return options.restorationWeight > 0 ? /^(down_tr|up_tr)/ : /^(down_tr|clc_out)/
}

/** Losses and restored cubes without training. Statistics are those the network's `norm` says. */
export class EvaluationStep {
  readonly input: Tensor
  readonly target: Tensor
  readonly labels: Tensor
  /** Restored cubes [N, X, Y, Z, outputChannels], in (0, 1); undefined without a decoder. */
  readonly output: Tensor | undefined
  /** What the head says of each cube [N, classes], before the softmax; undefined without a head. */
  readonly logits: Tensor | undefined
  readonly #pass: Pass

  constructor(network: Network, options: LossOptions) {
    this.#pass = new Pass(network, options, false, () => false)
    this.input = this.#pass.input
    this.target = this.#pass.target
    this.labels = this.#pass.labels
    this.output = this.#pass.output
    this.logits = this.#pass.logits
  }

  get plan(): Plan {
    return this.#pass.program.compile()
  }

  /** What `plan` would say, without the memory. The step cannot be run afterwards. */
  foresee(): Plan {
    return this.#pass.program.foresee()
  }

  async run(): Promise<Figures> {
    await this.#pass.program.run()
    return this.#pass.figures()
  }

  abort(): void {
    this.#pass.program.abort()
  }

  dispose(): void {
    this.#pass.program.dispose()
  }
}

/** Latent vectors: the global average pool of the bottleneck. */
export class EmbeddingStep {
  /** [N, X, Y, Z, channels] */
  readonly input: Tensor
  readonly #program: Program
  readonly #latent: Tensor

  constructor(network: Network, options: { readonly batch: number }) {
    const { engine, shape } = network
    this.#program = engine.program()
    const graph = new Graph(this.#program)
    const parameters = new NetworkParameters(graph, network, () => false)
    this.input = engine.tensor([options.batch, ...shape.patch, shape.inputChannels])
    const norm = { statistics: shape.norm, update: false, momentum: usualMomentum }
    const parts = { decoder: false, head: false, norm, decoderMode: 'auto' as const, recompute: 0 }
    const { bottleneck } = recordForward(graph, shape, parameters, graph.bind(this.input), parts)
    this.#latent = engine.tensor([options.batch, latentWidth(shape)])
    const pooled = globalAveragePool(graph, bottleneck)
    graph.record('cast', { x: pooled }, { y: graph.bind(this.#latent) })
  }

  /** [N, latent] for what `input` holds. */
  async run(): Promise<Float32Array> {
    await this.#program.run()
    return this.#latent.read<Float32Array>()
  }

  dispose(): void {
    this.#program.dispose()
  }
}
