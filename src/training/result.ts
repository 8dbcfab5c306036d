import { besidePerturbed, counted, duration, figure, percent } from '../format.js'
import type { NetworkShape } from '../nn/index.js'
import type { StageResult } from './state.js'

/** What a finished run reached. */
export interface RunResult {
  readonly folder: string
  /** The weights to use. */
  readonly weights: string
  readonly network: NetworkShape
  readonly stages: readonly StageResult[]
  /** Accuracy of guessing, where there is a head. */
  readonly chance?: number | undefined
  readonly steps: number
  /** Seconds of training, over all its sessions. */
  readonly seconds: number
}

/** The result in lines for people. */
export function describeResult({ stages, chance, steps, seconds, weights }: RunResult): string[] {
  return [
    ...stages.map(({ stage, epoch, epochs, figures }) => {
      const { accuracy, restoration, perturbed } = figures
      const parts = [
        accuracy !== undefined && chance !== undefined
          ? `accuracy ${percent(accuracy)}, ${(accuracy / chance).toFixed(1)} times chance`
          : '',
        restoration !== undefined
          ? `restoration error ${figure(restoration)}${perturbed && restoration > 0 ? `, ${besidePerturbed(restoration, perturbed)}` : ''}`
          : '',
      ].filter((part) => part)
      return `Stage ${stage}: best after epoch ${epoch} of ${epochs}; on held-out patients ${parts.join('; ')}.`
    }),
    `${counted(steps, 'step')} in ${duration(seconds)}. The weights to use: ${weights}`,
  ]
}
