import type { Extents } from '../extents.js'
import { intensitiesOf } from '../training/scans.js'
import { resized, storedCubes } from './cube-store.js'
import {
  type FoundImages,
  type ImageSetting,
  type LabelledImage,
  middleOf,
  type ReadyImage,
} from './labelled-images.js'
import type { PreparedVolume, VolumeFiles } from './prepared-volumes.js'

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
  const images = volumes.map(
    ({ files, split, channels }): LabelledImage => ({
      id: files.id,
      patient: channels[0]!.patient,
      split,
      truth: truthOf(files),
    }),
  )
  const volumeOf = new Map(images.map((image, i) => [image, volumes[i]!]))
  const hashesOf = ({ channels }: PreparedVolume) => channels.map(({ id }) => hashes.get(id)!)
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
