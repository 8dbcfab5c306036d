import { statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { findScans, isVolumeFile, patientNamed, type SplitName, scanName, splitFor } from '../volumes/index.js'
import type { CaseFiles, FoundCases } from './cases.js'

const imageFolder = /^(images?(tr)?|scans?)$/i
const labelFolder = /^(labels?(tr)?|masks?|segmentations?)$/i
/** nnU-Net's and the Decathlon's file of channel 3: case_0003.nii.gz. */
const channelSuffix = /_\d{4}$/
/** The label map among the files of a case's folder: BraTS's patient_seg.nii.gz, DeepMedic's OTMultiClass.nii.gz. */
const labelFile = /(^|[_-])(seg|segmentation|labels?|mask|gt|ot\w*)$/i
/** Masks of the brain or body beside the channels: neither image nor truth. */
const helperFile = /(brain|body|head)[_-]?mask|^roi/i
/** LiTS: volume-12.nii and segmentation-12.nii side by side. */
const numberedPair = /^(volume|segmentation)-(\d+)$/i

/**
 * The labelled cases of a folder, laid out in one of three ways: images/ and labels/ (or imagesTr/ and labelsTr/) with files
 * of the same names; a folder for every case that holds its channels and a label map (BraTS); or volume-N and
 * segmentation-N side by side, also in folders below (LiTS), which are split as published.
 * @param channels names of the channels to use, in their order, for folders of a case: all that every case has unless told
 * @throws SemgenError NO_DATA, BAD_OPTION, IO
 */
export async function casesOfFolder(folder: string, channels?: readonly string[]): Promise<FoundCases> {
  const below = (await readdir(folder)).filter(
    (name) => !name.startsWith('.') && statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory(),
  )
  const named = (pattern: RegExp) => below.find((name) => pattern.test(name))
  const [images, labels] = [named(imageFolder), named(labelFolder)]
  if (images && labels) return besideEachOther(join(folder, images), join(folder, labels))
  const pairs = await numberedPairs(folder, below)
  if (pairs.cases.length > 0) return pairs
  const own = await ownFolders(folder, below, channels)
  if (own) return own
  throw new SemgenError(
    'NO_DATA',
    `${folder} has no ${images ? 'labels/' : 'images/'} folder, no folders of a case with its label map, and no volume-N with segmentation-N: ` +
      '--data takes one of these, a dataset.json or a .csv.',
  )
}

async function besideEachOther(imagesIn: string, labelsIn: string): Promise<FoundCases> {
  const { files, notes } = await findScans([imagesIn])
  const channels = new Map<string, (typeof files)[number][]>()
  const labelPaths = await volumesIn(labelsIn)
  for (const file of files) {
    const name = scanName(file.path)
    const id = labelPaths.has(name) ? name : name.replace(channelSuffix, '')
    channels.set(id, [...(channels.get(id) ?? []), file])
  }
  const cases: CaseFiles[] = []
  const unpaired: string[] = []
  for (const [id, of] of channels) {
    const label = labelPaths.get(id)
    if (!label) unpaired.push(`${of[0]!.path} has no label in ${labelsIn}.`)
    else cases.push({ id, images: of.map(({ path }) => path).sort(), label, split: of[0]!.split })
  }
  for (const [id, path] of labelPaths) if (!channels.has(id)) unpaired.push(`${path} is the label of no image.`)
  return { cases, notes: [...notes], unpaired }
}

/** Volumes of a folder by name. */
async function volumesIn(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => isVolumeFile(name) && !name.startsWith('.'))
  return new Map(names.sort().map((name) => [scanName(name), resolve(folder, name)]))
}

/** A folder for every case; undefined where no folder holds a label map beside an image. */
async function ownFolders(
  folder: string,
  below: readonly string[],
  asked: readonly string[] | undefined,
): Promise<FoundCases | undefined> {
  const found: { id: string; label: string; channels: Map<string, string> }[] = []
  const unpaired: string[] = []
  for (const id of [...below].sort()) {
    const volumes = await volumesIn(join(folder, id))
    const labels = [...volumes].filter(([name]) => labelFile.test(name) && !helperFile.test(name))
    const channels = new Map(
      [...volumes]
        .filter(([name]) => !labelFile.test(name) && !helperFile.test(name))
        .map(([name, path]) => [channelName(name, id), path]),
    )
    if (channels.size === 0) continue
    if (labels.length === 1) found.push({ id, label: labels[0]![1], channels })
    else unpaired.push(`${join(folder, id)} has ${labels.length === 0 ? 'no' : 'more than one'} label map.`)
  }
  if (found.length === 0) return undefined
  const common = [...found[0]!.channels.keys()].filter((name) => found.every(({ channels }) => channels.has(name)))
  const names = asked?.map((word) => channelCalled(word, common, folder)) ?? common
  if (names.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `The cases of ${folder} have no channel in common: name those to use with --channels.`,
    )
  const told: string[] = []
  const listed = await splitFor(folder, told)
  // A partial list would mix two ways of splitting: then it does not count.
  const split = listed && found.every(({ id }) => listed.has(id)) ? listed : undefined
  return {
    cases: found.map(({ id, label, channels }) => ({
      id,
      images: names.map((name) => channels.get(name)!),
      channels: names,
      label,
      // Files of a folder may be called alike in all: the folder's name tells of the patient, however many channels there are.
      patient: patientNamed(id),
      split: split?.get(id),
    })),
    notes: [`Channels of each case: ${names.join(', ')}.`, ...(split ? told : [])],
    unpaired,
  }
}

/** "Flair" of patient_7's "patient_7_Flair.nii.gz". */
export function channelName(file: string, id: string): string {
  const rest = file.startsWith(id) ? file.slice(id.length).replace(/^[_-]/, '') : file
  return rest.toLowerCase()
}

/** The channel that a word names: its whole name, or what it alone begins with. */
export function channelCalled(word: string, known: readonly string[], where: string): string {
  const wanted = word.toLowerCase()
  const found = known.includes(wanted) ? [wanted] : known.filter((name) => name.startsWith(wanted))
  if (found.length === 1) return found[0]!
  throw new SemgenError(
    'BAD_OPTION',
    `--channels: ${shown(word)} names ${found.length === 0 ? 'none' : 'several'} of the channels that all cases of ${where} have (${known.join(', ') || 'none'}).`,
  )
}

async function numberedPairs(folder: string, below: readonly string[]): Promise<FoundCases> {
  const folders = [folder, ...below.map((name) => join(folder, name))]
  const found = { volume: new Map<number, string>(), segmentation: new Map<number, string>() }
  for (const at of folders)
    for (const [name, path] of await volumesIn(at)) {
      const [, kind, number] = numberedPair.exec(name) ?? []
      if (kind) found[kind.toLowerCase() as keyof typeof found].set(Number(number), path)
    }
  const numbers = [...found.volume.keys()].sort((a, b) => a - b)
  const paired = numbers.filter((number) => found.segmentation.has(number))
  const unpaired = [
    ...numbers.filter((n) => !found.segmentation.has(n)).map((n) => `${found.volume.get(n)} has no segmentation-${n}.`),
    ...[...found.segmentation].filter(([n]) => !found.volume.has(n)).map(([, path]) => `${path} is of no volume.`),
  ]
  // Part of LiTS alone would have empty parts: then it is split as anything else.
  const published = (['train', 'validation', 'test'] as const).every((part) => paired.some((n) => litsPart(n) === part))
  const cases = paired.map(
    (n): CaseFiles => ({
      id: `volume-${n}`,
      images: [found.volume.get(n)!],
      label: found.segmentation.get(n)!,
      split: published ? (litsPart(n) ?? 'train') : undefined,
    }),
  )
  const notes = published ? ['Split as published for LiTS: volumes 0-99, 100-114, 115-129.'] : []
  return { cases, notes, unpaired }
}

/** Which part volume N of LiTS belongs to in the method's experiments. */
function litsPart(number: number): SplitName | undefined {
  if (number < 100) return 'train'
  if (number < 115) return 'validation'
  return number < 130 ? 'test' : undefined
}
