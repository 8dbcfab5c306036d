import type { FinetuneOptions } from '../config/index.js'
import type { Engine } from '../engine/index.js'
import type { Network, NetworkShape } from '../nn/index.js'
import type { Progress } from '../progress.js'
import type { TestFigures } from '../report/run-files.js'
import type { RunFiles } from '../training/run-folder.js'
import type { StageParts } from '../training/stage.js'
import type { ValidationFigures } from '../training/validation.js'
import type { Cohort } from '../volumes/index.js'

/** What a target task is found with. */
export interface TaskSetting {
  readonly options: FinetuneOptions
  readonly files: RunFiles
  /** What the parts are drawn by, where no list names them. */
  readonly splitSeed: number
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/** The one figure that a task's runs are told apart by. */
export type Measure = 'dice' | 'auc'

/** What a network is fine-tuned for: its labelled cases are found, and the network they need is known. */
export interface TargetTask {
  /** As config.json and best.safetensors name it. */
  readonly name: 'segmentation' | 'classification'
  readonly measure: Measure
  /** What the network answers. */
  readonly outputs: readonly { readonly name: string }[]
  /** Cases of each part; those of the training part whose labels are used. */
  readonly counts: { readonly training: number; readonly validation: number; readonly test: number }
  /** The images as they were inspected: what cohort.json holds; absent where they are no volumes. */
  readonly cohort?: Cohort | undefined
  /** Options that decide a run's bits beside those of any fine-tuning. */
  readonly deciding: readonly (keyof FinetuneOptions)[]
  /** @param start base width and depth of the weights that it begins with, where it does not begin from scratch */
  shapeFor(start: Partial<NetworkShape>): NetworkShape
  /** What the labels say of parameters that no weights are loaded into. */
  initialise?(network: Network): void
  /** Prepares what is left to prepare for this network. */
  open(engine: Engine, network: Network): Promise<OpenTask>
}

/** A target task with its network. */
export interface OpenTask {
  /** What tells these cases from others: part of a run's fingerprint. */
  readonly identity: unknown
  /** Recorded in best.safetensors: how to use the weights. */
  readonly usage: Readonly<Record<string, unknown>>
  /**
   * What training runs; of the caller, who closes it.
   * @param normMomentum by which part of the way a step moves the running statistics to its batch's
   */
  parts(normMomentum: number): StageParts
  /** The best validation in words: "mean Dice 0.9 on 4 held-out cases". */
  told(figures: ValidationFigures): string
  /** Figures on the test part, told to people, too; undefined where there is none. */
  test(): Promise<TestFigures | undefined>
}

/** Keys of the encoder's tensors: what --freeze encoder keeps. */
export const encoderKeys = /^down_tr/
