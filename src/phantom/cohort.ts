import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { completeOptions, type PhantomOptions, phantomOptions } from '../config/index.js'
import { reason, SemgenError } from '../errors.js'
import { type Extents, voxelCount } from '../extents.js'
import { counted } from '../format.js'
import { type Progress, silent } from '../progress.js'
import { writeVolume } from '../volumes/index.js'
import {
  entries,
  folders,
  type PhantomScan,
  type PhantomSettings,
  readRecord,
  removePhantoms,
  scanId,
  writeRecord,
} from './record.js'
import { makeScan, type PlannedScan, planScan, type Scan } from './scan.js'

/** The most voxels of a scan: its HU, labels and what is written then take about 2 GiB. */
const mostVoxels = 2 ** 28

export interface MadePhantoms {
  readonly folder: string
  /** All scans of the folder, in order. */
  readonly scans: readonly PhantomScan[]
  /** Scans made by this call; the others were there. */
  readonly made: number
}

/**
 * Makes a cohort of synthetic torso CTs in Hounsfield units, with label maps and a list of nodules:
 * images/PH_0001.nii.gz, labels/PH_0001.nii.gz, nodules.csv (LUNA16's form, LPS+ millimetres), phantoms.json (settings,
 * legend of the labels, geometry of every scan). Scan n depends on the seed and n alone. A call for a folder that holds
 * scans of the same settings makes those that are missing.
 * @throws SemgenError BAD_OPTION for options that cannot be used and for a folder with other content (unless `force`),
 *   IO when files cannot be written; the signal's reason when it is aborted: every file in the folder is then whole
 */
export async function makePhantoms(
  given: Partial<PhantomOptions> & Pick<PhantomOptions, 'out'>,
  progress: Progress = silent,
  signal?: AbortSignal,
): Promise<MadePhantoms> {
  const options = completeOptions(phantomOptions, given)
  const { out, count, seed, nodules, format, size, force } = options
  if (size && voxelCount(size) > mostVoxels)
    throw new SemgenError(
      'BAD_OPTION',
      `--size ${size.join('x')} is more than ${mostVoxels} voxels: choose a smaller one.`,
    )
  const settings: PhantomSettings = { seed, format, size: size ? [...size] : null, nodules }
  if (force) await removePhantoms(out)
  const known = force ? [] : await readRecord(out, settings)
  const make = new Making(out, settings, known)
  await make.prepare()
  return make.run(count, progress, signal)
}

/** The work on one folder. */
class Making {
  readonly #folder: string
  readonly #settings: PhantomSettings
  readonly #scans = new Map<string, PhantomScan>()
  readonly #known: ReadonlyMap<string, PhantomScan>
  readonly #ending: string
  #files: ReadonlySet<string> = new Set()

  constructor(folder: string, settings: PhantomSettings, known: readonly PhantomScan[]) {
    this.#folder = folder
    this.#settings = settings
    this.#known = new Map(known.map((scan) => [scan.id, scan]))
    this.#ending = settings.format === 'nifti' ? '.nii.gz' : '.mha'
  }

  /** Makes the folders, and says what they are for before there is a scan in them. */
  async prepare(): Promise<void> {
    try {
      for (const part of Object.values(folders)) await mkdir(join(this.#folder, part), { recursive: true })
    } catch (error) {
      throw new SemgenError('IO', `--out ${this.#folder} could not be made: ${reason(error)}.`, { cause: error })
    }
    const lists = Object.values(folders).map(async (part) =>
      (await entries(join(this.#folder, part))).map((name) => `${part}/${name}`),
    )
    this.#files = new Set((await Promise.all(lists)).flat())
    // What was made before and is still there stays listed, also beyond the count asked for.
    for (const scan of this.#known.values()) if (this.#finished(scan.id)) this.#scans.set(scan.id, scan)
    await this.#save()
  }

  async run(count: number, progress: Progress, signal?: AbortSignal): Promise<MadePhantoms> {
    const indices = Array.from({ length: count }, (_, i) => i + 1)
    const missing = indices.filter((index) => !this.#finished(scanId(index)))
    // Written just before the program was killed: there, but not on record.
    for (const index of indices)
      if (this.#finished(scanId(index)) && !this.#scans.has(scanId(index))) this.#record(this.#plan(index), index)
    if (missing.length < count)
      progress.say(`${this.#folder} already holds ${counted(count - missing.length, 'scan')} of these settings.`)
    const task = progress.begin('Phantoms', missing.length, 'scans')
    // While one scan is compressed and written, the next is made.
    let writing: Promise<void> = Promise.resolve()
    try {
      for (const index of missing) {
        signal?.throwIfAborted()
        const plan = this.#plan(index)
        const scan = await makeScan(plan, signal)
        await writing
        writing = this.#write(scan, plan, index).then(() => task.advance())
        // Its failure is heard where it is waited for.
        writing.catch(() => {})
      }
      await writing
    } catch (error) {
      await writing.catch(() => {})
      // The reason why the work stopped is worth more than a second failure of the same disk.
      await this.#save().catch(() => {})
      throw error
    } finally {
      task.end()
    }
    await this.#save()
    return { folder: this.#folder, scans: this.#ordered(), made: missing.length }
  }

  #plan(index: number): PlannedScan {
    const { seed, nodules, size } = this.#settings
    return planScan(seed, index, nodules, (size ?? undefined) as Extents | undefined)
  }

  async #write({ shape, affine, hu, labels }: Scan, plan: PlannedScan, index: number): Promise<void> {
    const { image, labels: map } = this.#paths(scanId(index))
    await writeVolume(join(this.#folder, map), { shape, affine, data: labels })
    await writeVolume(join(this.#folder, image), { shape, affine, data: hu })
    this.#record(plan, index)
  }

  #record({ acquisition, patient, nodules }: PlannedScan, index: number): void {
    const id = scanId(index)
    this.#scans.set(id, {
      id,
      ...this.#paths(id),
      shape: [...acquisition.shape],
      spacing: [...acquisition.spacing],
      phase: patient.phase,
      noise: Number(acquisition.noise.toFixed(2)),
      nodules: nodules.map(({ centre: [x, y, z], diameter, kind }) => ({
        centre: [toMicrometre(x), toMicrometre(y), toMicrometre(z)],
        diameter: toMicrometre(diameter),
        kind,
      })),
    })
  }

  #paths(id: string): { image: string; labels: string } {
    return { image: `${folders.images}/${id}${this.#ending}`, labels: `${folders.labels}/${id}${this.#ending}` }
  }

  #finished(id: string): boolean {
    const { image, labels } = this.#paths(id)
    return this.#files.has(image) && this.#files.has(labels)
  }

  #ordered(): PhantomScan[] {
    return [...this.#scans.values()].sort((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1))
  }

  #save(): Promise<void> {
    return writeRecord(this.#folder, this.#settings, this.#ordered())
  }
}

const toMicrometre = (millimetres: number): number => Math.round(millimetres * 1000) / 1000
