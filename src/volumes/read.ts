import { SemgenError } from '../errors.js'
import { readMetaImage } from './metaimage.js'
import { readNifti } from './nifti.js'
import { readNpy } from './npy.js'
import type { Volume } from './volume.js'

/** Who reads what, by the end of a file's name. A further format is a further line. */
const readers: readonly { readonly ends: RegExp; readonly read: (path: string) => Promise<Volume> }[] = [
  { ends: /\.nii(\.gz)?$/i, read: readNifti },
  { ends: /\.hdr(\.gz)?$/i, read: readNifti },
  { ends: /\.mh[ad]$/i, read: readMetaImage },
  { ends: /\.npy$/i, read: readNpy },
]

const known = 'NIfTI (.nii, .nii.gz, .hdr + .img), MetaImage (.mhd, .mha) and NumPy (.npy)'

/** Whether a file's name says that it is a volume that can be read. */
export function isVolumeFile(path: string): boolean {
  return readers.some(({ ends }) => ends.test(path))
}

/**
 * Reads a volume of any known format.
 * @throws SemgenError UNSUPPORTED for other formats, BAD_FILE for damaged files, IO when it cannot be read
 */
export async function readVolume(path: string): Promise<Volume> {
  const reader = readers.find(({ ends }) => ends.test(path))
  if (!reader) throw new SemgenError('UNSUPPORTED', `${path} is of no format that is read: ${known} are.`)
  return reader.read(path)
}

/**
 * Reads a label map, or what is compared with one: a file of one volume. Of several, the first alone would be taken for all.
 * @throws SemgenError UNSUPPORTED of several volumes, and as readVolume
 */
export async function readSingleVolume(path: string): Promise<Volume> {
  const volume = await readVolume(path)
  if (volume.channels === 1) return volume
  throw new SemgenError(
    'UNSUPPORTED',
    `${path} holds ${volume.channels} volumes: a label map, and what is compared with one, is a file of one volume a case. ` +
      'A volume for each label is written as one map of the numbers 1, 2, ...',
  )
}

/**
 * Whether an error is a file's own: it is left out, and the others go on. What the machine refused (a full disk, memory, a
 * folder that cannot be reached) ends the work: with fewer scans it would come to other parts and patterns, and keep them.
 */
export function isOfFile(error: unknown): error is SemgenError {
  return error instanceof SemgenError && (error.code === 'BAD_FILE' || error.code === 'UNSUPPORTED')
}
