import { SemgenError } from '../errors.js'
import { type Extents, extentsText } from '../extents.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import {
  type Cohort,
  inspectScans,
  type Modality,
  type PreparedScan,
  patientNamed,
  prepareCohort,
  type SplitName,
} from '../volumes/index.js'

/** Files of one image. */
export interface VolumeFiles {
  readonly id: string
  /** One a channel, in order; or one file, whose volumes are the channels. */
  readonly paths: readonly string[]
  readonly patient?: string | undefined
  readonly split?: SplitName | undefined
}

/** An image prepared as for pre-training: canonical orientation, intensities in [0, 1], its channels on one grid. */
export interface PreparedVolume<F extends VolumeFiles = VolumeFiles> {
  readonly files: F
  readonly split: SplitName
  readonly channels: readonly PreparedScan[]
}

export interface VolumeSetting {
  /** Of what is prepared. */
  readonly folder: string
  readonly spacing?: Extents | undefined
  readonly modality?: 'auto' | Modality | undefined
  /** Intensities that become 0 and 1, whatever the modality; undefined where they follow from it. */
  readonly window?: readonly [number, number] | undefined
  readonly split?: readonly [number, number, number] | undefined
  readonly seed?: number | undefined
  readonly threads?: number | undefined
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

export interface PreparedVolumes<F extends VolumeFiles> {
  /** In the order of what was asked for; all with the same number of channels. */
  readonly volumes: PreparedVolume<F>[]
  readonly cohort: Cohort
  /** Of the stored voxels, by a scan's id. */
  readonly hashes: ReadonlyMap<string, string>
}

/**
 * Inspects and prepares images. One that cannot be used is told, and the rest goes on.
 * @throws SemgenError NO_DATA when none is left, IO; ABORTED through the signal
 */
export async function preparedVolumes<F extends VolumeFiles>(
  of: readonly F[],
  { folder, spacing, window, progress, signal, ...options }: VolumeSetting,
): Promise<PreparedVolumes<F>> {
  const files = of.flatMap(({ id, paths, patient, split }) =>
    // The files of several channels are one case's, and the case's name tells of the patient as a single file's does.
    paths.map((path) => ({ path, patient: patient ?? (paths.length > 1 ? patientNamed(id) : undefined), split })),
  )
  const cohort = await inspectScans(files, [], { ...options, everyVolume: true }, progress, signal)
  const { threads } = options
  // What is stretched between a scan's quantiles otherwise is stretched between these.
  const windowed =
    window &&
    cohort.scans.map((scan) => ({ ...scan, modality: 'mr' as const, robustRange: [...window] as [number, number] }))
  const { scans, refused } = await prepareCohort(
    windowed ? { ...cohort, scans: windowed } : cohort,
    { folder, spacing, threads },
    progress,
    signal,
  )
  const byPath = new Map<string, PreparedScan[]>()
  // The volumes of a file come in their order.
  for (const scan of scans) byPath.set(scan.path, [...(byPath.get(scan.path) ?? []), scan])
  const reasons = new Map([...cohort.refused, ...refused].map(({ path, reason }) => [path, reason]))
  const volumes: PreparedVolume<F>[] = []
  for (const one of of) {
    const lost = one.paths.find((path) => reasons.has(path) || !byPath.has(path))
    const channels = one.paths.flatMap((path) => byPath.get(path) ?? [])
    const problem = lost
      ? (reasons.get(lost) ?? `${lost} could not be prepared.`)
      : problemOf(channels, volumes[0]?.channels)
    if (problem) progress.warn(`Left out: ${problem}`)
    else volumes.push({ files: one, split: channels[0]!.split, channels })
  }
  if (volumes.length === 0)
    throw new SemgenError('NO_DATA', `None of ${counted(of.length, 'image')} can be used: the reasons are above.`)
  return { volumes, cohort, hashes: new Map(cohort.scans.map(({ id, hash }) => [id, hash])) }
}

/** Why channels make no image that goes with the first one. */
function problemOf(channels: readonly PreparedScan[], first: readonly PreparedScan[] | undefined): string | undefined {
  const [{ path, shape }] = channels as [PreparedScan]
  const other = channels.find((channel) => extentsText(channel.shape) !== extentsText(shape))
  if (other)
    return `${other.path} has ${extentsText(other.shape)} voxels and ${path} ${extentsText(shape)}: the channels of an image lie on one grid.`
  if (first && first.length !== channels.length)
    return `${path} has ${counted(channels.length, 'channel')} and ${first[0]!.path} ${first.length}: images that go together have the same channels.`
  return undefined
}
