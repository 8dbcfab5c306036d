import { outputCodes, type SegmentationOutput } from '../cases/outputs.js'
import { type Network, PredictionStep, SegmentationStep } from '../nn/index.js'
import { Feed } from '../training/feed.js'
import type { StageParts } from '../training/stage.js'
import type { ValidationFigures } from '../training/validation.js'
import type { Augmentations } from './augmentation.js'
import { voxelsUnder } from './image-grid.js'
import { PatchSampler } from './patch-sampler.js'
import { fillPatches } from './patches.js'
import type { PreparedCase } from './prepared-cases.js'
import { slideWindows, type WindowOptions, windowCount } from './sliding-window.js'

export interface Segmentation {
  readonly network: Network
  readonly outputs: readonly SegmentationOutput[]
  readonly training: readonly PreparedCase[]
  readonly validation: readonly PreparedCase[]
  readonly batch: number
  readonly loss: { readonly dice: number; readonly crossEntropy: number }
  readonly augment: Augmentations
  readonly foreground: number
  readonly overlap: number
  readonly frozen: RegExp | undefined
  readonly seed: number
  readonly threads: number
}

/**
 * What fine-tuning runs: a step on patches, the patches, and whole held-out cases.
 * @param normMomentum by which part of the way a step moves the running statistics to its batch's
 */
export function segmentationParts(of: Segmentation, normMomentum: number): StageParts {
  const { network, batch, outputs, training, loss, frozen, threads } = of
  const step = new SegmentationStep(network, {
    batch,
    diceWeight: loss.dice,
    crossEntropyWeight: loss.crossEntropy,
    optimizer: { kind: 'adam' },
    frozen,
    normMomentum,
  })
  const { patch } = network.shape
  const labels = outputs.flatMap((output) => output.labels)
  const sampler = new PatchSampler(training, { ...of, patch, labels })
  const codes = outputCodes(outputs)
  const [input, target] = [new Float32Array(step.input.length), new Float32Array(step.target.length)]
  const validation = new CaseValidation(of)
  return {
    step: {
      optimizerState: step.optimizerState,
      async run(learningRate) {
        return { ...(await step.run(learningRate)), restoration: 0, classification: 0, correct: 0 }
      },
      dispose: () => step.dispose(),
    },
    feed: new Feed(
      (at) => fillPatches(sampler.batch(at, batch), patch, codes, input, target, threads),
      () => {
        step.input.write(input)
        step.target.write(target)
      },
    ),
    validation,
    knowingNothing: loss.dice + loss.crossEntropy * Math.LN2,
  }
}

/** Dice of each output over a case; undefined where neither truth nor prediction has a voxel of it. */
export type CaseDice = readonly (number | undefined)[]

/** Predicts whole cases and compares them with their labels. */
export class CaseValidation {
  readonly #of: Segmentation
  readonly #step: PredictionStep

  constructor(of: Segmentation) {
    this.#of = of
    this.#step = new PredictionStep(of.network, { batch: of.batch })
  }

  /**
   * The mean Dice of all outputs of all held-out cases, and as the loss what is missing to 1.
   * @param report called with the share that is done
   * @throws what the signal was aborted with
   */
  async run(signal?: AbortSignal, report?: (share: number) => void): Promise<ValidationFigures> {
    const { validation } = this.#of
    const windows = this.windows(validation)
    let done = 0
    const all = await this.compare(validation, signal, (used) => report?.((done += used) / windows))
    const dice = meanDice(all)
    return { loss: 1 - dice, dice }
  }

  /** How many windows cases take. */
  windows(cases: readonly PreparedCase[]): number {
    const { network, overlap } = this.#of
    const each = cases.map(({ channels }) => windowCount(channels[0]!.shape, { patch: network.shape.patch, overlap }))
    return each.reduce((sum, count) => sum + count, 0)
  }

  /**
   * Each case's Dice, at a threshold of one half, on the grid of its `truth`: where that is another than the prepared one,
   * each of its voxels has the probability that predict gives it in a file.
   * @param advance called for windows that are done
   * @throws what the signal was aborted with
   */
  async compare(
    cases: readonly PreparedCase[],
    signal?: AbortSignal,
    advance?: (windows: number) => void,
  ): Promise<CaseDice[]> {
    const results: CaseDice[] = []
    for (const { channels, truth } of cases) {
      const { network, outputs, batch, overlap, threads } = this.#of
      const { codes } = outputCodes(outputs)
      const [, , nz] = channels[0]!.shape
      const [xs, ys, zs] = truth.shape.map((extent, axis) => voxelsUnder(channels[0]!.shape[axis]!, extent)) as [
        Int32Array,
        Int32Array,
        Int32Array,
      ]
      const sums = outputs.map(() => ({ shared: 0, sizes: 0 }))
      const options: WindowOptions = {
        patch: network.shape.patch,
        batch,
        overlap,
        mirror: 'none',
        outputs: outputs.length,
        threads,
        signal,
        advance,
      }
      let plane = 0
      let at = 0
      await slideWindows(channels, [this.#step], options, (x, probabilities) => {
        // Planes come in order, and each serves all of the truth's that it lies under: many, one or none.
        for (; xs[plane] === x; plane++)
          for (const y of ys)
            for (const z of zs) {
              const code = codes[truth.labels[at++]!]!
              const from = (y * nz + z) * outputs.length
              for (let o = 0; o < outputs.length; o++) {
                const inTruth = (code >>> o) & 1
                const found = probabilities[from + o]! > 0.5 ? 1 : 0
                sums[o]!.shared += inTruth & found
                sums[o]!.sizes += inTruth + found
              }
            }
      })
      results.push(sums.map(({ shared, sizes }) => (sizes === 0 ? undefined : (2 * shared) / sizes)))
    }
    return results
  }

  dispose(): void {
    this.#step.dispose()
  }
}

/** The mean over all outputs of all cases that have a Dice; 0 where none has. */
export function meanDice(all: readonly CaseDice[], output?: number): number {
  const values = all
    .flatMap((dice) => (output === undefined ? dice : [dice[output]]))
    .filter((value) => value !== undefined)
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
