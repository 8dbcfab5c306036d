import { z } from 'zod'
import { SemgenError } from '../errors.js'
import type { Progress } from '../progress.js'
import { type Cohort, guessModality, type Modality, modalities } from '../volumes/index.js'
import type { FineTuned } from './usage.js'

/** How the intensities of images become a network's, from 0 to 1. */
export interface Preparation {
  /** Of all images; auto: guessed image by image. */
  readonly modality: 'auto' | Modality
  /** Intensities that become 0 and 1, of any image; undefined where they follow from the modality. */
  readonly window?: readonly [number, number] | undefined
}

/** As training records it (intensitiesOf), or `weights convert --window`: then without a modality. */
const record = z.object({
  modality: z.union([z.enum(modalities), z.array(z.enum(modalities))]).optional(),
  window: z.union([z.tuple([z.number(), z.number()]).refine(([low, high]) => low < high), z.string()]).optional(),
})

/** How the images were prepared that weights were trained on; undefined where they do not say. */
export function recordedPreparation({ usage }: Pick<FineTuned, 'usage'>): Preparation | undefined {
  const { modality, window } = record.safeParse(usage.intensities).data ?? {}
  const numbers = typeof window === 'string' ? undefined : window
  // Each MR scan has quantiles of its own, also where there was but one to train on, whose own are recorded.
  if (modality === 'mr') return { modality }
  if (typeof modality === 'string') return { modality, window: numbers }
  if (modality !== undefined) return { modality: 'auto' }
  return numbers && { modality: 'auto', window: numbers }
}

/**
 * How to prepare images for networks: as those were that they were trained on, or as --modality says, which wins. What is
 * done is told.
 * @throws SemgenError BAD_CHECKPOINT where the networks were trained on images prepared differently, and nobody says how
 */
export function chosenPreparation(
  networks: readonly Pick<FineTuned, 'path' | 'usage'>[],
  given: 'auto' | Modality | undefined,
  progress: Progress,
): Preparation {
  const recorded = networks.map(recordedPreparation)
  const [first] = recorded
  const other = recorded.findIndex((one) => JSON.stringify(one) !== JSON.stringify(first))
  if (given === undefined) {
    if (other > 0)
      throw new SemgenError(
        'BAD_CHECKPOINT',
        `${networks[other]!.path} and ${networks[0]!.path} do not go together: the one was trained on ${named(recorded[other])}, the other on ${named(first)}; predict with each by itself, or say with --modality how to prepare the images for all.`,
      )
    if (first && (first.modality !== 'auto' || first.window))
      progress.say(`Images are prepared as ${named(first)}, which is what the weights were trained on.`)
    return first ?? { modality: 'auto' }
  }
  for (const [i, { path }] of networks.entries()) {
    const before = recorded[i]
    if (before && before.modality !== given && (before.modality !== 'auto' || before.window))
      progress.warn(
        `${path} was trained on ${named(before)}, and images are prepared as ${given === 'auto' ? 'is guessed image by image' : named({ modality: given })} (--modality ${given}).`,
      )
  }
  return other < 0 && first?.modality === given ? first : { modality: given }
}

/** Warns of images that look like something else than what they are prepared as. */
export function warnOfModality({ scans }: Cohort, { modality }: Preparation, progress: Progress): void {
  if (modality === 'auto') return
  const told = new Set<string>()
  for (const { path, range } of scans) {
    const [low, high] = range
    const guessed = guessModality({ low, high })
    if (guessed === modality || told.has(path)) continue
    told.add(path)
    progress.warn(
      `${path} looks like ${named({ modality: guessed })} (values from ${low} to ${high}), and is prepared as ${named({ modality })}, as the weights were trained: see --modality.`,
    )
  }
}

/** Warns where weights of scans are asked about an archive: its bytes are what they are, whatever --modality says. */
export function warnOfArchive(
  path: string,
  weights: string,
  { modality, window }: Preparation,
  progress: Progress,
): void {
  if (modality !== 'auto' || (window && window.join() !== '0,255'))
    progress.warn(
      `${path} holds intensities from 0 to 255, and ${weights} was trained on ${named({ modality, window })}: what is predicted may mean nothing.`,
    )
}

function named(of: Preparation | undefined): string {
  if (of === undefined) return 'images that it does not describe'
  if (of.modality !== 'auto') return of.modality.toUpperCase()
  return of.window ? `intensities from ${of.window.join(' to ')}` : 'CT and MR'
}
