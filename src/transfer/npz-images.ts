import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import { Npz, type NpzArray, type SplitName } from '../volumes/index.js'
import { resized, storedCubes } from './cube-store.js'
import {
  type FoundImages,
  type ImageSetting,
  type LabelledImage,
  middleOf,
  type ReadyImage,
} from './labelled-images.js'

/** The parts of a MedMNIST archive, as it names them. */
export const npzParts = ['train', 'val', 'test'] as const
export type NpzPart = (typeof npzParts)[number]

const splits: Record<NpzPart, SplitName> = { train: 'train', val: 'validation', test: 'test' }
const layout = 'the layout of MedMNIST has train_images, train_labels, val_images, val_labels, test_images, test_labels'
/** More classes than any set of images has. */
const mostClasses = 10_000
const mostChannels = 64
/** More images than any archive of MedMNIST has: each takes an entry in memory. */
const mostImages = 1_000_000

interface Part {
  readonly name: NpzPart
  readonly images: readonly LabelledImage[]
}

/**
 * The images of an archive in the layout of MedMNIST (Yang et al. 2023): `train_images` and so on, uint8 of
 * N x D x H x W or N x D x H x W x C, and `train_labels` of N x 1 (one class each) or N x L (of each of L findings,
 * whether it is there). Intensity 255 becomes 1.
 * @param parts those to be read; the first must be there
 * @param labelled to learn from: the second part and all labels must be there, too
 * @throws SemgenError IO, BAD_FILE, UNSUPPORTED, NO_DATA
 */
export async function npzImages(
  path: string,
  parts: readonly NpzPart[],
  labelled: boolean,
  setting: ImageSetting,
): Promise<FoundImages> {
  const file = await Npz.open(path, (name) =>
    parts.some((part) => name === `${part}_images` || name === `${part}_labels`),
  )
  const there = parts.filter((part) => file.arrays.has(`${part}_images`))
  const missing = (labelled ? parts.slice(0, 2) : parts.slice(0, 1)).find((part) => !there.includes(part))
  if (missing) throw new SemgenError('BAD_FILE', `${path} has no array ${missing}_images: ${layout}.`)
  const { shape, channels } = imageExtents(path, `${there[0]}_images`, file.arrays.get(`${there[0]}_images`)!)
  for (const part of there) {
    const other = imageExtents(path, `${part}_images`, file.arrays.get(`${part}_images`)!)
    if (other.shape.join() !== shape.join() || other.channels !== channels)
      throw new SemgenError('BAD_FILE', `${path}: the images of ${part} have other extents than those of ${there[0]}.`)
  }
  const truths = await readTruths(file, there, labelled)
  const found = there.map((name): Part => {
    const count = file.arrays.get(`${name}_images`)!.shape[0]!
    const digits = String(Math.max(0, count - 1)).length
    const truth = truths?.of.get(name)
    const image = (_: unknown, i: number): LabelledImage => {
      const id = `${name}-${String(i).padStart(digits, '0')}`
      return { id, patient: id, split: splits[name], truth: truth?.[i] }
    }
    return { name, images: Array.from({ length: count }, image) }
  })
  const identity = there.map((name) => [
    name,
    file.arrays.get(`${name}_images`)!.crc,
    file.arrays.get(`${name}_labels`)?.crc ?? null,
  ])
  return {
    classes: truths?.classes ?? [],
    exclusive: truths?.exclusive ?? true,
    channels,
    shapes: [shape],
    images: found.flatMap(({ images }) => images),
    identity,
    intensities: { window: [0, 255] },
    async ready(patch, wanted) {
      const extents = setting.fit === 'resize' ? patch : shape
      const spacing = shape.map((extent, axis) => extent / extents[axis]!) as unknown as Extents
      const of = new Set(wanted)
      const ready: ReadyImage[] = []
      for (const { name, images } of found) {
        if (!images.some((image) => of.has(image))) continue
        const { crc } = file.arrays.get(`${name}_images`)!
        const store = { folder: setting.folder, identity: ['npz', crc], count: images.length, channels }
        const cubes = await storedCubes(store, extents, () => cubesOf(file, name, shape, channels, extents, setting))
        images.forEach((image, i) => {
          if (of.has(image)) ready.push({ ...image, channels: cubes[i]!, spacing, middle: middleOf(extents) })
        })
      }
      return ready
    },
  }
}

function imageExtents(path: string, name: string, { shape, unsignedBytes }: NpzArray) {
  const [count = 0, ...extents] = shape
  const refuse = (why: string) =>
    new SemgenError('UNSUPPORTED', `${path}: ${name} is an array of ${shape.join(' x ')}, and ${why}.`)
  if (!unsignedBytes) throw new SemgenError('UNSUPPORTED', `${path}: ${name} does not hold uint8, as MedMNIST does.`)
  if (![3, 4].includes(extents.length) || (extents.length === 3 && extents[2]! <= 4))
    throw refuse('images are volumes: N x D x H x W, or N x D x H x W x C for several channels')
  if (count < 1) throw refuse('there is no image in it')
  if (count > mostImages) throw refuse(`at most ${mostImages} images are read`)
  const [d, h, w, channels = 1] = extents as [number, number, number, number?]
  if (Math.min(d, h, w) < 2 || Math.max(d, h, w) > 4096) throw refuse('the extents of an image are from 2 to 4096')
  if (channels < 1 || channels > mostChannels) throw refuse(`images have from 1 to ${mostChannels} channels`)
  return { shape: [d, h, w] as Extents, channels }
}

async function readTruths(file: Npz, parts: readonly NpzPart[], labelled: boolean) {
  const missing = parts.find((part) => !file.arrays.has(`${part}_labels`))
  if (missing && labelled) throw new SemgenError('BAD_FILE', `${file.path} has no array ${missing}_labels: ${layout}.`)
  if (missing) return undefined
  const widths = parts.map((part) => width(file, part))
  if (widths.some((one) => one !== widths[0]))
    throw new SemgenError('BAD_FILE', `${file.path}: the parts have ${widths.join(', ')} labels an image.`)
  const findings = widths[0]!
  const exclusive = findings === 1
  let classes = exclusive ? 0 : findings
  const of = new Map<NpzPart, number[][]>()
  for (const part of parts) {
    const values = await file.values(`${part}_labels`)
    const most = exclusive ? mostClasses - 1 : 1
    values.forEach((value, i) => {
      if (!(Number.isInteger(value) && value >= 0 && value <= most))
        throw new SemgenError(
          'BAD_FILE',
          `${file.path}: ${part}_labels holds ${value} in row ${Math.floor(i / findings)}, and ` +
            (exclusive ? `a class is a whole number from 0 to ${most}.` : 'a finding is 0 or 1.'),
        )
      if (exclusive) classes = Math.max(classes, value + 1)
    })
    const row = (i: number) =>
      exclusive ? [values[i]!] : Array.from({ length: findings }, (_, l) => l).filter((l) => values[i * findings + l])
    of.set(
      part,
      Array.from({ length: values.length / findings }, (_, i) => row(i)),
    )
  }
  return { of, exclusive, classes: Array.from({ length: classes }, (_, i) => String(i)) }
}

/** Labels an image. */
function width(file: Npz, part: NpzPart): number {
  const images = file.arrays.get(`${part}_images`)!.shape[0]!
  const { shape } = file.arrays.get(`${part}_labels`)!
  const [rows, findings = 1] = shape
  if (shape.length > 2 || rows !== images || findings < 1 || findings > mostClasses)
    throw new SemgenError(
      'BAD_FILE',
      `${file.path}: ${part}_labels is an array of ${shape.join(' x ')}, and ${images} images have labels of ${images} x 1, or x L for L findings.`,
    )
  return findings
}

async function* cubesOf(
  file: Npz,
  part: NpzPart,
  shape: Extents,
  channels: number,
  extents: Extents,
  { threads, progress, signal }: ImageSetting,
): AsyncGenerator<Uint16Array[]> {
  const task = progress.begin(`Reading ${part}`, file.arrays.get(`${part}_images`)!.shape[0]!, 'images')
  try {
    for await (const row of file.rows(`${part}_images`)) {
      signal?.throwIfAborted()
      const cubes: Uint16Array[] = []
      for (let channel = 0; channel < channels; channel++) {
        const voxels = new Uint16Array(row.length / channels)
        for (let i = 0; i < voxels.length; i++) voxels[i] = 257 * row[i * channels + channel]!
        cubes.push(await resized({ voxels, shape }, extents, threads))
      }
      yield cubes
      task.advance()
    }
  } finally {
    task.end()
  }
}
