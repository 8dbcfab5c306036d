import type { Plan, Program, Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { Graph } from './graph.js'
import { usualMomentum } from './layers.js'
import { type Network, NetworkParameters } from './network.js'
import type { OptimizerOptions } from './optimizer.js'
import { recordLogits } from './prediction.js'
import { hasDecoder } from './shape.js'
import { Update } from './update.js'

export interface SegmentationOptions {
  /** Patches a step. */
  readonly batch: number
  /** Weight of 1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1), p = sigmoid(logits), over the batch and all outputs. */
  readonly diceWeight: number
  /** Weight of the mean binary cross-entropy. */
  readonly crossEntropyWeight: number
  readonly optimizer: OptimizerOptions
  /** Parameters whose keys match stay as they are; their statistics still move. */
  readonly frozen?: RegExp | undefined
  readonly normMomentum?: number | undefined
}

export interface SegmentationFigures {
  /** The weighted sum. */
  readonly loss: number
  /** Unweighted. */
  readonly dice: number
  readonly crossEntropy: number
  readonly gradientNorm: number
  readonly finite: boolean
}

/** The smoothing of the published Dice loss. */
const smooth = 1

/** One training step of a segmentation network: encoder, decoder, one sigmoid an output, as one program. */
export class SegmentationStep {
  /** [N, X, Y, Z, channels] */
  readonly input: Tensor
  /** [N, X, Y, Z, outputs], 1 where a voxel belongs to the output */
  readonly target: Tensor
  readonly #options: SegmentationOptions
  readonly #program: Program
  readonly #update: Update
  readonly #dice: Tensor
  readonly #crossEntropy: Tensor

  constructor(network: Network, options: SegmentationOptions) {
    checkOptions(network, options)
    const { engine, shape } = network
    const { batch, diceWeight, crossEntropyWeight, normMomentum: momentum = usualMomentum } = options
    this.#options = options
    this.#program = engine.program()
    const graph = new Graph(this.#program)
    const trained = new Set(network.trainable.filter((key) => !options.frozen?.test(key)))
    const parameters = new NetworkParameters(graph, network, (key) => trained.has(key))
    this.input = engine.tensor([batch, ...shape.patch, shape.inputChannels])
    this.target = engine.tensor([batch, ...shape.patch, shape.outputChannels])
    this.#dice = engine.tensor([1])
    this.#crossEntropy = engine.tensor([1])
    const norm = { statistics: 'batch' as const, update: true, momentum }
    const logits = recordLogits(graph, network, parameters, this.input, norm)
    const target = graph.bind(this.target)
    const record = (operation: string, loss: Tensor, weight: number, attributes = {}) => {
      if (weight === 0) return
      const dlogits = graph.wanted(logits)
      graph.record(operation, { logits, target }, { loss: graph.bind(loss), dlogits }, { weight, ...attributes })
      graph.contribute(logits, dlogits)
    }
    record('dice', this.#dice, diceWeight, { smooth })
    record('bce_with_logits', this.#crossEntropy, crossEntropyWeight)
    this.#update = new Update(network, graph, parameters, options.optimizer, /^(down_tr|up_tr)/)
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
  async run(learningRate: number): Promise<SegmentationFigures> {
    const { gradientNorm, finite } = await this.#update.run(learningRate)
    const { diceWeight, crossEntropyWeight } = this.#options
    const [dice, crossEntropy] = [this.#dice.read()[0]!, this.#crossEntropy.read()[0]!]
    return {
      loss: dice + crossEntropy,
      dice: diceWeight > 0 ? dice / diceWeight : 0,
      crossEntropy: crossEntropyWeight > 0 ? crossEntropy / crossEntropyWeight : 0,
      gradientNorm,
      finite,
    }
  }

  dispose(): void {
    this.#program.dispose()
  }
}

function checkOptions(network: Network, { batch, diceWeight, crossEntropyWeight }: SegmentationOptions): void {
  if (!Number.isInteger(batch) || batch < 1 || batch > 65536)
    throw new SemgenError('BAD_OPTION', `--batch takes a whole number from 1 to 65536, not ${batch}.`)
  if (!(diceWeight >= 0 && crossEntropyWeight >= 0 && diceWeight + crossEntropyWeight > 0))
    throw new SemgenError('BAD_OPTION', 'The weights of the losses are numbers from 0, of which one is above 0.')
  if (!hasDecoder(network.shape))
    throw new SemgenError('BAD_OPTION', `A ${network.shape.kind} has no decoder to segment with.`)
}
