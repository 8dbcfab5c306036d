import type { Plan, Program, Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { Graph } from './graph.js'
import { usualMomentum } from './layers.js'
import { type Network, NetworkParameters } from './network.js'
import type { OptimizerOptions } from './optimizer.js'
import { recordLogits } from './prediction.js'
import { Update } from './update.js'

export interface ClassificationOptions {
  /** Images a step. */
  readonly batch: number
  /**
   * Whether one class is true of each image: mean cross-entropy of the softmax. Else any number of them may be: mean
   * binary cross-entropy of a sigmoid each.
   */
  readonly exclusive: boolean
  readonly optimizer: OptimizerOptions
  /** Parameters whose keys match stay as they are; their statistics still move. */
  readonly frozen?: RegExp | undefined
  readonly normMomentum?: number | undefined
}

export interface ClassificationFigures {
  readonly loss: number
  /** Images of which every class was called rightly: the largest logit, or the sign of each. */
  readonly correct: number
  readonly gradientNorm: number
  readonly finite: boolean
}

/** One training step of a classifier: encoder, global average pool, linear layer, loss, as one program. */
export class ClassificationStep {
  /** [N, X, Y, Z, channels] */
  readonly input: Tensor
  /** Exclusive: i32 [N], the class. Else float [N, classes], 1 where a class is true. */
  readonly target: Tensor
  readonly #program: Program
  readonly #update: Update
  readonly #loss: Tensor
  readonly #logits: Tensor
  readonly #exclusive: boolean

  constructor(network: Network, options: ClassificationOptions) {
    checkClassifier(network, options.batch)
    const { engine, shape } = network
    const { batch, exclusive, normMomentum: momentum = usualMomentum } = options
    this.#exclusive = exclusive
    this.#program = engine.program()
    const graph = new Graph(this.#program)
    const trained = new Set(network.trainable.filter((key) => !options.frozen?.test(key)))
    const parameters = new NetworkParameters(graph, network, (key) => trained.has(key))
    this.input = engine.tensor([batch, ...shape.patch, shape.inputChannels])
    this.target = exclusive ? engine.tensor([batch], 'i32') : engine.tensor([batch, shape.classes])
    this.#loss = engine.tensor([1])
    this.#logits = engine.tensor([batch, shape.classes])
    const norm = { statistics: 'batch' as const, update: true, momentum }
    const logits = recordLogits(graph, network, parameters, this.input, norm)
    graph.record('cast', { x: logits }, { y: graph.bind(this.#logits) })
    const target = graph.bind(this.target)
    const dlogits = graph.wanted(logits, 'f32')
    graph.record(
      exclusive ? 'softmax_cross_entropy' : 'bce_with_logits',
      { logits, ...(exclusive ? { labels: target } : { target }) },
      { loss: graph.bind(this.#loss), dlogits },
      { weight: 1 },
    )
    graph.contribute(logits, dlogits)
    this.#update = new Update(network, graph, parameters, options.optimizer, /^down_tr/)
  }

  /** Moments and step count, by name, to be saved and restored between runs. */
  get optimizerState(): ReadonlyMap<string, Tensor> {
    return this.#update.state
  }

  /** What the program uses; compiles it when it is not yet. */
  get plan(): Plan {
    return this.#program.compile()
  }

  /** One step on what input and target hold. */
  async run(learningRate: number): Promise<ClassificationFigures> {
    const { gradientNorm, finite } = await this.#update.run(learningRate)
    return { loss: this.#loss.read()[0]!, correct: this.#correct(), gradientNorm, finite }
  }

  dispose(): void {
    this.#program.dispose()
  }

  #correct(): number {
    const [batch, classes] = this.#logits.shape as [number, number]
    const logits = this.#logits.read<Float32Array>()
    const target = this.target.read<Float32Array | Int32Array>()
    let correct = 0
    for (let i = 0; i < batch; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes)
      const right = this.#exclusive
        ? row.every((logit) => logit <= row[target[i]!]!)
        : row.every((logit, c) => logit > 0 === target[i * classes + c]! > 0)
      if (right) correct++
    }
    return correct
  }
}

function checkClassifier({ shape }: Network, batch: number): void {
  if (!Number.isInteger(batch) || batch < 1 || batch > 65536)
    throw new SemgenError('BAD_OPTION', `--batch takes a whole number from 1 to 65536, not ${batch}.`)
  if (shape.kind !== 'classifier')
    throw new SemgenError('BAD_OPTION', `A ${shape.kind} does not classify by its encoder alone.`)
}
