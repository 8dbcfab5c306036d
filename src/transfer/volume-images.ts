import { SemgenError } from '../errors.js'
import { type Extents, extentsText } from '../extents.js'
import { counted } from '../format.js'
import { intensitiesOf } from '../training/scans.js'
import { type Cohort, inspectScans, type PreparedScan, prepareCohort, type SplitName } from '../volumes/index.js'
import { resized, storedCubes } from './cube-store.js'
import {
  type FoundImages,
  type ImageSetting,
  type LabelledImage,
  middleOf,
  type ReadyImage,
} from './labelled-images.js'

/** Files of one image. */
export interface VolumeFiles {
  readonly id: string
  /** One a channel, in order. */
  readonly paths: readonly string[]
  readonly patient?: string | undefined
  readonly split?: SplitName | undefined
}

/** An image prepared as for pre-training: canonical orientation, intensities in [0, 1]. */
export interface PreparedVolume<F extends VolumeFiles = VolumeFiles> {
  readonly files: F
  readonly split: SplitName
  readonly channels: readonly PreparedScan[]
}

/**
 * Inspects and prepares images. One that cannot be used is told, and the rest goes on.
 * @throws SemgenError NO_DATA when none is left, IO; ABORTED through the signal
 */
export async function preparedVolumes<F extends VolumeFiles>(
  of: readonly F[],
  { folder, spacing, modality, split, seed, progress, signal }: ImageSetting,
): Promise<{ volumes: PreparedVolume<F>[]; cohort: Cohort; hashes: ReadonlyMap<string, string> }> {
  const files = of.flatMap(({ id, paths, patient, split: part }) =>
    paths.map((path) => ({ path, patient: patient ?? (paths.length > 1 ? id : undefined), split: part })),
  )
  const cohort = await inspectScans(files, [], { modality, split, seed }, progress, signal)
  const { scans, refused } = await prepareCohort(cohort, { folder, spacing }, progress, signal)
  const byPath = new Map(scans.map((scan) => [scan.path, scan]))
  const reasons = new Map([...cohort.refused, ...refused].map(({ path, reason }) => [path, reason]))
  const volumes: PreparedVolume<F>[] = []
  for (const one of of) {
    const channels = one.paths.map((path) => byPath.get(path))
    const lost = one.paths.find((_, i) => !channels[i])
    const whole = channels.filter((scan) => scan !== undefined)
    const other = whole.find(({ shape }) => extentsText(shape) !== extentsText(whole[0]!.shape))
    if (lost) progress.warn(`Left out: ${reasons.get(lost) ?? `${lost} could not be prepared.`}`)
    else if (other)
      progress.warn(
        `Left out: ${other.path} has ${extentsText(other.shape)} voxels and ${whole[0]!.path} ${extentsText(whole[0]!.shape)}: the channels of an image lie on one grid.`,
      )
    else volumes.push({ files: one, split: whole[0]!.split, channels: whole })
  }
  if (volumes.length === 0)
    throw new SemgenError('NO_DATA', `None of ${counted(of.length, 'image')} can be used: the reasons are above.`)
  return { volumes, cohort, hashes: new Map(cohort.scans.map(({ path, hash }) => [path, hash])) }
}

/**
 * Whole images as the network's input: resized to it, or their middles.
 * @param truthOf classes that are true of an image, by number; undefined where nobody said
 */
export function wholeImages<F extends VolumeFiles>(
  { volumes, hashes }: { readonly volumes: readonly PreparedVolume<F>[]; readonly hashes: ReadonlyMap<string, string> },
  about: { readonly classes: readonly string[]; readonly exclusive: boolean },
  truthOf: (files: F) => readonly number[] | undefined,
  { fit, folder, spacing, threads, progress, signal }: ImageSetting,
): FoundImages {
  const images = volumes.map(({ files, split }): LabelledImage => ({ id: files.id, split, truth: truthOf(files) }))
  const volumeOf = new Map(images.map((image, i) => [image, volumes[i]!]))
  const hashesOf = ({ channels }: PreparedVolume) => channels.map(({ path }) => hashes.get(path)!)
  return {
    ...about,
    channels: volumes[0]!.channels.length,
    images,
    shapes: volumes.map(({ channels }) => channels[0]!.shape),
    identity: images.map((image) => [image.id, image.split, image.truth ?? null, hashesOf(volumeOf.get(image)!)]),
    intensities: intensitiesOf(volumes.flatMap(({ channels }) => channels)),
    async ready(patch, wanted) {
      const of = wanted.map((image) => volumeOf.get(image)!)
      if (fit === 'crop')
        return wanted.map((image, i): ReadyImage => {
          const { channels } = of[i]!
          return { ...image, channels, spacing: channels[0]!.spacing, middle: middleOf(channels[0]!.shape) }
        })
      const windows = of.map(({ channels }) => channels.map(({ window }) => window))
      const identity = ['volumes', of.map(hashesOf), windows, spacing ?? null]
      const store = { folder, identity, count: of.length, channels: of[0]!.channels.length }
      const cubes = await storedCubes(store, patch, async function* () {
        const task = progress.begin('Resizing', of.length, 'images')
        try {
          for (const { channels } of of) {
            signal?.throwIfAborted()
            const made: Uint16Array[] = []
            for (const scan of channels) made.push(await resized(scan, patch, threads))
            yield made
            task.advance()
          }
        } finally {
          task.end()
        }
      })
      return wanted.map((image, i): ReadyImage => {
        const { shape, spacing: millimetres } = of[i]!.channels[0]!
        const each = shape.map((extent, axis) => (extent * millimetres[axis]!) / patch[axis]!) as unknown as Extents
        return { ...image, channels: cubes[i]!, spacing: each, middle: middleOf(patch) }
      })
    },
  }
}
