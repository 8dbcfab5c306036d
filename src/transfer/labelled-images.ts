import type { Extents } from '../extents.js'
import type { Scan } from '../perturb/index.js'
import type { Progress } from '../progress.js'
import type { Modality, SplitName } from '../volumes/index.js'

/** An image, or a place in one, and what is true of it. */
export interface LabelledImage {
  readonly id: string
  /** Whose it is: what parts are drawn by. Its own name where nobody said. */
  readonly patient: string
  readonly split: SplitName
  /** Classes that are true of it, by number; absent where nobody said. */
  readonly truth?: readonly number[] | undefined
  /** Of a candidate: its scan's name and its place, as its list has them. */
  readonly candidate?: { readonly seriesuid: string; readonly point: Extents } | undefined
}

/** One that patches can be cut from. */
export interface ReadyImage extends LabelledImage {
  /** On one grid. */
  readonly channels: readonly Scan[]
  /** Millimetres of its voxels. */
  readonly spacing: Extents
  /** The voxel that the middle of the network's input lies on; it need not be whole. */
  readonly middle: Extents
}

/** What a source of labelled images holds. */
export interface FoundImages {
  readonly classes: readonly string[]
  /** Whether one class is true of each image; else any number of them. */
  readonly exclusive: boolean
  readonly channels: number
  readonly images: readonly LabelledImage[]
  /** Extents of the images, to fit the network's input to; undefined where it is a cube of any size about a place. */
  readonly shapes: readonly Extents[] | undefined
  /** What tells these images from others. */
  readonly identity: unknown
  /** Recorded with the weights: what intensities became 0 and 1. */
  readonly intensities: Readonly<Record<string, unknown>>
  /** Brings the images of `wanted` into the form that patches are cut from, once: kept in the folder for the next time. */
  ready(patch: Extents, wanted: readonly LabelledImage[]): Promise<ReadyImage[]>
}

/** How images are read, whichever form they come in. */
export interface ImageSetting {
  /** How a whole image becomes the network's input: resized to it, or its middle at its own voxel size. */
  readonly fit: 'resize' | 'crop'
  readonly spacing?: Extents | undefined
  readonly modality?: 'auto' | Modality | undefined
  /** Intensities that become 0 and 1, whatever the modality; undefined where they follow from it. */
  readonly window?: readonly [number, number] | undefined
  readonly split?: readonly [number, number, number] | undefined
  readonly seed: number
  /** Of what is prepared. */
  readonly folder: string
  readonly threads: number
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/** The voxel, perhaps between two, in the middle of an image. */
export const middleOf = (shape: Extents): Extents => shape.map((extent) => (extent - 1) / 2) as unknown as Extents

/** Names in order: numbers by value, words by letter. */
export function sortedNames(names: Iterable<string>): string[] {
  const all = [...new Set(names)]
  return all.every((name) => Number.isFinite(Number(name)))
    ? all.sort((a, b) => Number(a) - Number(b))
    : all.sort((a, b) => (a < b ? -1 : 1))
}
