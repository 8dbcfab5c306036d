import { basename, dirname } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { needPlace, numberAt, placeOf, readTable, type Table } from '../evaluation/table.js'
import { type Extents, extentsText } from '../extents.js'
import { counted } from '../format.js'
import { intensitiesOf } from '../training/scans.js'
import { type Cohort, findScans, type SplitName, scanName, voxelAt } from '../volumes/index.js'
import {
  type FoundImages,
  type ImageSetting,
  type LabelledImage,
  type ReadyImage,
  sortedNames,
} from './labelled-images.js'
import { preparedVolumes, type VolumeFiles } from './prepared-volumes.js'

/** A row of the list: a place in a scan, in ITK's world (LPS, millimetres). */
interface Candidate {
  readonly row: number
  readonly point: Extents
  readonly label: string | undefined
}

interface Place extends LabelledImage {
  readonly middle: Extents
  readonly scan: number
}

/** LUNA16's parts as published: subsets 0 to 4, 5 and 6, 7 to 9. */
const subsetSplits: readonly SplitName[] = [
  ...new Array<SplitName>(5).fill('train'),
  ...new Array<SplitName>(2).fill('validation'),
  ...new Array<SplitName>(3).fill('test'),
]

/**
 * Cubes about the candidates of a list, as LUNA16's: a .csv with the columns seriesuid, coordX, coordY, coordZ (world
 * millimetres, x to the left and y to the back, as ITK has them) and class, and a folder of the scans, each named by its
 * seriesuid. Where all scans lie in folders subset0 to subset9 these are the parts, as published; else they are drawn.
 * @param labelled whether the list must have classes
 * @throws SemgenError BAD_FILE, among others for a candidate outside of its scan; IO, NO_DATA; ABORTED through the signal
 */
export async function candidateImages(
  sources: readonly string[],
  list: string,
  labelled: boolean,
  setting: ImageSetting,
): Promise<{ found: FoundImages; cohort: Cohort }> {
  const { progress } = setting
  const table = await readTable(list)
  const candidates = candidatesOf(table, labelled)
  const { files, notes } = await findScans(sources)
  for (const note of notes) progress.say(note)
  const named = new Map(files.map(({ path, patient, split }) => [scanName(path), { path, patient, split }]))
  const asked = [...candidates.keys()].filter((id) => named.has(id))
  const without = [...candidates.keys()].filter((id) => !named.has(id))
  if (asked.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${list} names no scan of ${sources.join(', ')}: the first is ${shown(without[0] ?? 'none')}, and a scan's file is named by its seriesuid.`,
    )
  if (without[0] !== undefined)
    progress.say(
      `${counted(without.length, 'scan')} of ${list} not among the images, and left out: ${without[0]} first.`,
    )
  const subsets = asked.map((id) => /^subset(\d)$/.exec(basename(dirname(named.get(id)!.path)))?.[1])
  const published = subsets.every((subset) => subset !== undefined)
  if (published) progress.say('The parts are those of the subsets: 0 to 4, 5 and 6, 7 to 9.')
  const volumes = asked.map((id, i): VolumeFiles => {
    const { path, patient, split } = named.get(id)!
    return { id, paths: [path], patient, split: published ? subsetSplits[Number(subsets[i])] : split }
  })
  const prepared = await preparedVolumes(volumes, setting)
  const classes = sortedNames([...candidates.values()].flat().flatMap(({ label }) => label ?? []))
  const places = prepared.volumes.flatMap(({ files: { id }, split, channels: [scan] }, at) =>
    candidates.get(id)!.map(({ row, point, label }): Place => {
      const middle = voxelAt(scan!.affine, [-point[0], -point[1], point[2]])
      if (!middle.every((voxel, axis) => voxel >= -0.5 && voxel <= scan!.shape[axis]! - 0.5))
        throw new SemgenError(
          'BAD_FILE',
          `${list}, row ${table.lines[row]}: (${point.join(', ')}) mm lies outside of ${scan!.path}, at voxel (${middle.map((voxel) => voxel.toFixed(1)).join(', ')}) of ${extentsText(scan!.shape)}.`,
        )
      const truth = label === undefined ? undefined : [classes.indexOf(label)]
      const candidate = { seriesuid: id, point }
      return { id: `${id}-${row + 1}`, patient: scan!.patient, split, truth, candidate, middle, scan: at }
    }),
  )
  const hash = prepared.volumes.map(({ channels }) => channels.map(({ id }) => prepared.hashes.get(id)!))
  const found: FoundImages = {
    classes,
    exclusive: true,
    channels: prepared.volumes[0]!.channels.length,
    images: places,
    shapes: undefined,
    identity: [hash, places.map(({ id, split, truth, middle, scan }) => [id, split, truth ?? null, middle, scan])],
    intensities: intensitiesOf(prepared.volumes.flatMap(({ channels }) => channels)),
    async ready(_patch, wanted) {
      return (wanted as readonly Place[]).map((place): ReadyImage => {
        const { channels } = prepared.volumes[place.scan]!
        return { ...place, channels, spacing: channels[0]!.spacing }
      })
    },
  }
  return { found, cohort: prepared.cohort }
}

/** Candidates by the scan they lie in. */
function candidatesOf(table: Table, labelled: boolean): Map<string, Candidate[]> {
  const names = ['coordX', 'coordY', 'coordZ']
  const series = needPlace(table, ['seriesuid'])
  const places = names.map((name) => needPlace(table, [name]))
  const label = labelled ? needPlace(table, ['class']) : placeOf(table, ['class'])
  const candidates = new Map<string, Candidate[]>()
  for (const [row, cells] of table.rows.entries()) {
    const id = cells[series]!
    const said = label === undefined ? undefined : cells[label] || undefined
    if (id === '' || (labelled && said === undefined))
      throw new SemgenError(
        'BAD_FILE',
        `${table.path}, row ${table.lines[row]}: ${id === '' ? 'seriesuid' : 'class'} is empty.`,
      )
    const point = places.map((place) => numberAt(table, row, place)) as unknown as Extents
    const of = candidates.get(id)
    if (of) of.push({ row, point, label: said })
    else candidates.set(id, [{ row, point, label: said }])
  }
  return candidates
}
