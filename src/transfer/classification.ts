import type { OutputCodes } from '../cases/outputs.js'
import { voxelCount } from '../extents.js'
import { ClassificationStep, type Network, PredictionStep } from '../nn/index.js'
import { Feed } from '../training/feed.js'
import type { StageParts } from '../training/stage.js'
import type { ValidationFigures } from '../training/validation.js'
import type { Augmentations } from './augmentation.js'
import { type Answers, classMeasures, lossesOf, probabilitiesOf } from './class-measures.js'
import { balancedGroups, ImageSampler, plainRequest } from './image-sampler.js'
import type { ReadyImage } from './labelled-images.js'
import { fillPatches } from './patches.js'

export interface Classification {
  readonly network: Network
  readonly classes: readonly string[]
  /** Whether one class is true of each image. */
  readonly exclusive: boolean
  readonly training: readonly ReadyImage[]
  readonly validation: readonly ReadyImage[]
  readonly batch: number
  readonly balanced: boolean
  readonly augment: Augmentations
  readonly frozen: RegExp | undefined
  readonly seed: number
  readonly threads: number
}

/** Patches without labels by voxel. */
const noLabels: OutputCodes = { codes: new Array<number>(256).fill(0), outputs: 0 }

/**
 * What fine-tuning runs: a step on drawn images, the images, and the held-out ones.
 * @param normMomentum by which part of the way a step moves the running statistics to its batch's
 */
export function classificationParts(of: Classification, normMomentum: number): StageParts {
  const { network, batch, training, classes, exclusive, frozen, threads } = of
  const { patch } = network.shape
  const step = new ClassificationStep(network, { batch, exclusive, optimizer: { kind: 'adam' }, frozen, normMomentum })
  const sampler = new ImageSampler(training, { ...of, patch })
  const input = new Float32Array(step.input.length)
  const target = exclusive ? new Int32Array(batch) : new Float32Array(batch * classes.length)
  const validation = new ImageValidation(of)
  return {
    step: {
      optimizerState: step.optimizerState,
      async run(learningRate) {
        const figures = await step.run(learningRate)
        return { ...figures, restoration: 0, classification: figures.loss }
      },
      dispose: () => step.dispose(),
    },
    feed: new Feed(
      async (at) => {
        const drawn = sampler.batch(at, batch)
        await fillPatches(
          drawn.map(({ request }) => request),
          patch,
          noLabels,
          input,
          undefined,
          threads,
        )
        target.fill(0)
        drawn.forEach(({ image: { truth } }, i) => {
          if (exclusive) target[i] = truth![0]!
          else for (const c of truth!) target[i * classes.length + c] = 1
        })
      },
      () => {
        step.input.write(input)
        step.target.write(target)
      },
    ),
    validation,
    knowingNothing: exclusive ? Math.log(classes.length) : Math.LN2,
  }
}

/** Asks networks about images, batch by batch; a last batch that is not full has a program of its own size. */
export class Classifier {
  readonly #network: Network
  readonly #batch: number
  readonly #threads: number
  readonly #steps = new Map<number, PredictionStep>()

  constructor(network: Network, batch: number, threads: number) {
    this.#network = network
    this.#batch = batch
    this.#threads = threads
  }

  /**
   * Logits [images, classes].
   * @param signs along which axes the images are to be mirrored: -1
   * @throws what the signal was aborted with
   */
  async logits(
    images: readonly ReadyImage[],
    signal?: AbortSignal,
    advance: (images: number) => void = () => {},
    signs?: readonly number[],
  ): Promise<Float32Array> {
    const { patch, classes, inputChannels } = this.#network.shape
    const all = new Float32Array(images.length * classes)
    for (let first = 0; first < images.length; first += this.#batch) {
      signal?.throwIfAborted()
      const part = images.slice(first, first + this.#batch)
      const step = this.#step(part.length)
      const input = new Float32Array(part.length * voxelCount(patch) * inputChannels)
      const requests = part.map((image) => plainRequest(image, patch, signs))
      await fillPatches(requests, patch, noLabels, input, undefined, this.#threads)
      step.input.write(input)
      all.set(await step.run(), first * classes)
      advance(part.length)
    }
    return all
  }

  dispose(): void {
    for (const step of this.#steps.values()) step.dispose()
    this.#steps.clear()
  }

  #step(batch: number): PredictionStep {
    let step = this.#steps.get(batch)
    if (!step) {
      step = new PredictionStep(this.#network, { batch })
      this.#steps.set(batch, step)
    }
    return step
  }
}

/** Asks about labelled images, and compares. */
export class ImageValidation {
  readonly #of: Classification
  readonly #classifier: Classifier

  constructor(of: Classification) {
    this.#of = of
    this.#classifier = new Classifier(of.network, of.batch, of.threads)
  }

  /**
   * The loss that training has, of the held-out images, each class as heavy where training balances them; beside it how
   * rightly they are called and ranked.
   * @param report called with the share that is done
   * @throws what the signal was aborted with
   */
  async run(signal?: AbortSignal, report?: (share: number) => void): Promise<ValidationFigures> {
    const { validation, balanced } = this.#of
    let done = 0
    const { answers, losses } = await this.ask(validation, signal, (images) =>
      report?.((done += images) / validation.length),
    )
    const { accuracy, balancedAccuracy, auc } = classMeasures(answers)
    const lossOf = new Map(validation.map((image, i) => [image, losses[i]!]))
    const mean = (images: readonly ReadyImage[]) =>
      images.reduce((sum, image) => sum + lossOf.get(image)!, 0) / images.length
    const groups = balanced ? balancedGroups(validation) : [validation]
    const loss = groups.reduce((sum, group) => sum + mean(group), 0) / groups.length
    return { loss, classification: loss, accuracy, balancedAccuracy, ...(auc === undefined ? {} : { auc }) }
  }

  /**
   * What the network says of images whose truth is known.
   * @param advance called for images that are done
   * @throws what the signal was aborted with
   */
  async ask(
    images: readonly ReadyImage[],
    signal?: AbortSignal,
    advance?: (images: number) => void,
  ): Promise<{ readonly answers: Answers; readonly losses: readonly number[] }> {
    const { classes, exclusive } = this.#of
    const logits = await this.#classifier.logits(images, signal, advance)
    const truths = images.map(({ truth }) => truth!)
    const probabilities = probabilitiesOf(logits, classes.length, exclusive)
    return {
      answers: { classes, exclusive, probabilities, truths },
      losses: lossesOf(logits, classes.length, exclusive, truths),
    }
  }

  dispose(): void {
    this.#classifier.dispose()
  }
}
