import { basename, dirname } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { Random } from '../random.js'
import { type ScanFile, type SplitName, scanName } from './cohort-files.js'

/** Whose a scan is: where nobody said, that of whom its file's name tells. */
export const patientOf = ({ path, patient }: ScanFile): string => patient ?? patientNamed(scanName(path))

/**
 * Of whom the name of a scan or a case tells: "patient_003_t1" and "patient_003_flair" are one patient's. It is what comes
 * before the last run of letters after digits; in the names of BIDS, such as "sub-02_ses-1_T1w", the subject.
 */
export function patientNamed(name: string): string {
  return /^(sub-[a-z0-9]+)_/i.exec(name)?.[1] ?? /^(.*\d)[_-][a-z][a-z0-9]*$/i.exec(name)?.[1] ?? name
}

/**
 * Patients of scans that are kept in a folder a patient, as p01/T1.nii and p02/T1.nii, or p01/day-2/ct.nii: names that most
 * files in several folders have, and of which there are fewer than folders, name no patient, and what lies above counts.
 * Says so in `notes`.
 */
export function withFoldersPatients(files: readonly ScanFile[], notes: string[]): readonly ScanFile[] {
  const named = new Map(files.filter(({ patient }) => patient === undefined).map(({ path }) => [path, path]))
  for (let folders = sharing(new Set(named.values())); folders; folders = sharing(new Set(named.values())))
    for (const [path, at] of named) if (folders.has(dirname(at))) named.set(path, dirname(at))
  const patients = new Map([...named].flatMap(([path, at]) => (at === path ? [] : [[path, basename(at)]])))
  if (patients.size > 0)
    notes.push(
      `Patients are told by folders, ${new Set(patients.values()).size} of them, as files of the same name lie in each: a manifest with a column patient says otherwise.`,
    )
  return files.map((file) => (patients.has(file.path) ? { ...file, patient: patients.get(file.path) } : file))
}

/** The folders that have names in common, where these are fewer than the folders and half of what lies in them, or more. */
function sharing(paths: ReadonlySet<string>): Set<string> | undefined {
  const places = new Map<string, Set<string>>()
  for (const path of paths) places.set(basename(path), (places.get(basename(path)) ?? new Set()).add(dirname(path)))
  const shared = [...places.values()].filter(({ size }) => size > 1)
  const folders = new Set(shared.flatMap((some) => [...some]))
  const sharers = shared.reduce((sum, { size }) => sum + size, 0)
  const inside = [...paths].filter((path) => folders.has(dirname(path))).length
  return folders.size > shared.length && 2 * sharers >= inside ? folders : undefined
}

/**
 * The parts that files are given, by patient: what one scan is given holds for all of its patient.
 * @throws SemgenError BAD_FILE when a patient is given two
 */
export function givenParts(files: readonly ScanFile[]): Map<string, SplitName> {
  const first = new Map<string, { path: string; split: SplitName }>()
  for (const file of files) {
    const { path, split } = file
    if (!split) continue
    const patient = patientOf(file)
    const before = first.get(patient)
    if (!before) first.set(patient, { path, split })
    else if (before.split !== split)
      throw new SemgenError(
        'BAD_FILE',
        `The patient ${shown(patient)} is given two parts, ${before.split} by ${before.path} and ${split} by ${path}: ` +
          'give all scans of a patient the same one, or tell two patients apart in the column patient of a manifest.',
      )
  }
  return new Map([...first].map(([patient, { split }]) => [patient, split]))
}

/**
 * Every patient to one part: the one given, or one drawn by the seed.
 * @param shares of patients for training, validation and test. Patients with a given part count, and the others are drawn
 *   to fill what is missing: at least one of each part that is asked for, and one to train with, as long as there are enough
 */
export function splitPatients<T extends { readonly patient: string }>(
  scans: readonly T[],
  given: ReadonlyMap<string, SplitName>,
  shares: readonly [number, number, number],
  seed: number,
): (T & { split: SplitName })[] {
  const patients = [...new Set(scans.map(({ patient }) => patient))].sort()
  const open = patients.filter((patient) => !given.has(patient))
  const already = (part: SplitName) => patients.filter((patient) => given.get(patient) === part).length
  const total = shares[0] + shares[1] + shares[2]
  const wanted = (share: number) => (share > 0 ? Math.max(1, Math.round((share / total) * patients.length)) : 0)
  const validation = Math.min(wanted(shares[1]), patients.length - 1)
  const test = Math.min(wanted(shares[2]), patients.length - 1 - validation)
  const free = Math.max(0, open.length - (already('train') > 0 ? 0 : 1))
  const held = Math.min(Math.max(0, validation - already('validation')), free)
  const tested = Math.min(Math.max(0, test - already('test')), free - held)
  const parts = new Map(given)
  const order = new Random(seed, 'split').permutation(open.length)
  order.forEach((patient, rank) => {
    parts.set(open[patient]!, rank < held ? 'validation' : rank < held + tested ? 'test' : 'train')
  })
  return scans.map((scan) => ({ ...scan, split: parts.get(scan.patient)! }))
}
