import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { FinetuneOptions } from '../config/index.js'
import type { Engine } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import { counted, figure, percent } from '../format.js'
import type { Network, NetworkShape } from '../nn/index.js'
import { Random } from '../random.js'
import type { TestFigures } from '../report/run-files.js'
import type { Cohort, SplitName } from '../volumes/index.js'
import { chosenAugmentations } from './augmentation.js'
import { candidateImages } from './candidate-images.js'
import { bootstrapMeasures, classMeasures } from './class-measures.js'
import { type Classification, classificationParts, ImageValidation } from './classification.js'
import { foldsOf, inFolds } from './folds.js'
import { balancedGroups } from './image-sampler.js'
import type { FoundImages, ImageSetting, LabelledImage } from './labelled-images.js'
import { listedImages } from './listed-images.js'
import { finetuneDepth, patchFor, usualDepth } from './network-size.js'
import { npzImages } from './npz-images.js'
import { encoderKeys, type OpenTask, type TargetTask, type TaskSetting } from './target-task.js'

/** The published input about a candidate. */
const publishedPatch: Extents = [64, 64, 32]

/**
 * The labelled images of --data, and the encoder with one linear layer that is to tell their classes apart.
 * @throws SemgenError BAD_OPTION, BAD_FILE, NO_DATA, IO; ABORTED through the signal
 */
export async function classificationTask(setting: TaskSetting): Promise<TargetTask> {
  const { options, progress } = setting
  const augment = chosenAugmentations('classify', options)
  const { found, cohort } = await findImages(setting)
  const { folds, fold } = foldsOf(options)
  const images = folds
    ? inFolds(found.images, ({ patient }) => patient, { folds, fold, seed: setting.splitSeed })
    : found.images
  const parts = partsOf({ ...found, images }, options)
  const all = images.filter(({ split }) => split === 'train').length
  if (parts.training.length < all)
    progress.say(`Labels: those of ${parts.training.length} of ${all} training images (--label-fraction).`)
  progress.say(describeClasses(found, parts.training))
  return {
    name: 'classification',
    measure: 'auc',
    outputs: found.classes.map((name) => ({ name })),
    counts: { training: parts.training.length, validation: parts.validation.length, test: parts.test.length },
    cohort,
    deciding: ['augment', 'augmentStrength', 'classWeights', 'fit', 'folds', 'fold'],
    shapeFor: (start) => shapeFor(options, found, start),
    open: async (engine, network) => opened(setting, engine, network, augment, found, parts),
  }
}

async function findImages(setting: TaskSetting): Promise<{ found: FoundImages; cohort?: Cohort }> {
  const { options, files, splitSeed, progress, signal } = setting
  const { data, candidates, fit, spacing, modality, split, threads = availableParallelism() } = options
  const images: ImageSetting = {
    fit,
    spacing,
    modality,
    split,
    seed: splitSeed,
    folder: files.cache,
    threads,
    progress,
    signal,
  }
  if (candidates !== undefined) return candidateImages([data], candidates, true, images)
  const status = statSync(data, { throwIfNoEntry: false })
  if (!status)
    throw new SemgenError('IO', `${data} does not exist: --data takes a .npz, a .csv, or a folder with --candidates.`)
  if (/\.npz$/i.test(data)) return { found: await npzImages(data, ['train', 'val', 'test'], true, images) }
  if (/\.csv$/i.test(data)) return listedImages(data, images)
  throw new SemgenError(
    'BAD_OPTION',
    `${data} does not say which class an image is of: to classify, --data takes a .npz in MedMNIST's layout, a .csv with the columns image and label, or a folder of scans with --candidates.`,
  )
}

interface Parts {
  readonly training: readonly LabelledImage[]
  readonly validation: readonly LabelledImage[]
  readonly test: readonly LabelledImage[]
}

/** @throws SemgenError NO_DATA where a part or a class is missing that training needs */
function partsOf({ images, classes, exclusive }: FoundImages, options: FinetuneOptions): Parts {
  const part = (name: SplitName) => images.filter(({ split }) => split === name)
  const [all, validation, test] = [part('train'), part('validation'), part('test')]
  if (all.length === 0 || validation.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${options.data} has ${counted(all.length, 'usable image')} to train with and ${validation.length} to validate with: at least one of each is needed, see --split.`,
    )
  if (exclusive && classes.length < 2)
    throw new SemgenError(
      'NO_DATA',
      `Every image of ${options.data} is of class ${classes[0]}: there is nothing to tell apart.`,
    )
  for (const [c, name] of classes.entries()) {
    const having = all.filter(({ truth }) => truth!.includes(c)).length
    if (having === 0 || (!exclusive && having === all.length))
      throw new SemgenError(
        'NO_DATA',
        `${having === 0 ? 'No' : 'Every'} training image of ${options.data} is of class ${name}: it cannot be learnt.`,
      )
  }
  const ranks = (of: readonly LabelledImage[]) =>
    classes.some((_, c) => new Set(of.map(({ truth }) => truth!.includes(c))).size === 2)
  if (!ranks(validation))
    throw new SemgenError(
      'NO_DATA',
      `The ${counted(validation.length, 'image')} of ${options.data} to validate with are all of one kind: there is nothing to rank, see --split.`,
    )
  // Within each class, so that none is lost.
  const groups = new Map<string, LabelledImage[]>()
  for (const image of all) groups.set(image.truth!.join(), [...(groups.get(image.truth!.join()) ?? []), image])
  const used = new Set(
    [...groups.values()].flatMap((group, i) => {
      const order = new Random(options.seed, 'label-fraction', i).permutation(group.length)
      const count = Math.max(1, Math.round(options.labelFraction * group.length))
      return [...order.subarray(0, count)].map((index) => group[index]!)
    }),
  )
  return { training: all.filter((image) => used.has(image)), validation, test }
}

function describeClasses({ classes, exclusive }: FoundImages, training: readonly LabelledImage[]): string {
  const counts = classes.map((name, c) => `${name} (${training.filter(({ truth }) => truth!.includes(c)).length})`)
  return exclusive
    ? `Classes, and training images of each: ${counts.join(', ')}; one class an image: softmax and cross-entropy.`
    : `Findings, and training images with each: ${counts.join(', ')}; any number an image: sigmoids and binary cross-entropy.`
}

function shapeFor(
  options: FinetuneOptions,
  { shapes, channels, classes }: FoundImages,
  start: Partial<NetworkShape>,
): NetworkShape {
  const wished = options.depth ?? start.depth
  const round = options.fit === 'resize' ? Math.round : Math.floor
  const patch = options.patch ?? (shapes ? patchFor(shapes, wished ?? usualDepth, round) : publishedPatch)
  return {
    kind: 'classifier',
    baseWidth: options.baseWidth ?? start.baseWidth ?? 16,
    depth: wished ?? finetuneDepth(patch),
    inputChannels: channels,
    outputChannels: 1,
    classes: classes.length,
    patch,
    skips: true,
    norm: options.norm,
  }
}

async function opened(
  setting: TaskSetting,
  engine: Engine,
  network: Network,
  augment: Classification['augment'],
  found: FoundImages,
  parts: Parts,
): Promise<OpenTask> {
  const { options, progress } = setting
  const { classes, exclusive } = found
  const ready = new Map(
    (await found.ready(network.shape.patch, found.images)).map((image) => [image.id, image] as const),
  )
  const of = (images: readonly LabelledImage[]) => images.map(({ id }) => ready.get(id)!)
  const validation = of(parts.validation)
  const classification: Classification = {
    network,
    classes,
    exclusive,
    training: of(parts.training),
    validation,
    batch: options.batch,
    balanced: options.classWeights === 'balanced',
    augment,
    frozen: options.freeze === 'encoder' ? encoderKeys : undefined,
    seed: options.seed,
    threads: engine.threads,
  }
  if (classification.balanced) {
    const groups = balancedGroups(classification.training).map((group) => group.length)
    progress.say(`Balanced: ${groups.join(', ')} training images of the classes come equally often (--class-weights).`)
  }
  return {
    identity: found.identity,
    usage: {
      outputs: classes.map((name) => ({ name })),
      exclusive,
      fit: found.shapes ? options.fit : 'cube',
      spacing: options.spacing ?? null,
      intensities: found.intensities,
    },
    parts: (normMomentum) => classificationParts(classification, normMomentum),
    told: ({ auc, accuracy, balancedAccuracy }) =>
      `${auc === undefined ? '' : `AUC ${figure(auc)}, `}accuracy ${percent(accuracy!)}, balanced ${percent(balancedAccuracy!)} on ${counted(validation.length, 'held-out image')}`,
    test: () => tested(classification, of(parts.test), setting),
  }
}

async function tested(
  of: Classification,
  images: Classification['validation'],
  { options, progress, signal }: TaskSetting,
): Promise<TestFigures | undefined> {
  if (images.length === 0) return undefined
  const comparison = new ImageValidation(of)
  try {
    const task = progress.begin('Testing', images.length, 'images')
    const { answers } = await comparison.ask(images, signal, (done) => task.advance(done)).finally(() => task.end())
    const { accuracy, balancedAccuracy, auc, aucOf } = classMeasures(answers)
    const intervals = bootstrapMeasures(answers, options.seed)
    const between = ([low, high]: readonly [number, number], write: (value: number) => string) =>
      `(${write(low)} to ${write(high)})`
    const ranked =
      auc === undefined ? 'no AUC, for want of classes' : `AUC ${figure(auc)} ${between(intervals.auc!, figure)}`
    progress.say(
      `Test part, ${counted(images.length, 'image')}: ${ranked}, accuracy ${percent(accuracy)} ${between(intervals.accuracy, percent)}, ` +
        `balanced ${percent(balancedAccuracy)} ${between(intervals.balancedAccuracy, percent)}; in brackets 95 % intervals, by bootstrap.`,
    )
    return {
      cases: images.length,
      accuracy,
      balancedAccuracy,
      ...(auc === undefined ? {} : { auc }),
      byOutput: { ...aucOf },
      intervals,
    }
  } finally {
    comparison.dispose()
  }
}
