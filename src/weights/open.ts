import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SemgenError } from '../errors.js'
import { FileRanges } from '../file-ranges.js'
import { KerasFile } from './keras/keras-file.js'
import { SafetensorsFile } from './safetensors.js'
import { legacyMagic, TorchFile } from './torch/torch-file.js'
import type { WeightsFile } from './weights-file.js'

const hdf5Magic = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a)
const zipMagic = Uint8Array.of(0x50, 0x4b, 3, 4)
/** A pickle that is no torch.save: protocol 2 to 5. */
const isPickle = (head: Uint8Array) => head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5

/**
 * Opens weights of any format that is read here, told by its first bytes, not by its name. The folder of a run stands
 * for the weights to use of it, its best.safetensors.
 * @throws SemgenError IO, BAD_FILE when it is damaged or of no such format, UNSUPPORTED when it is refused
 */
export async function openWeights(given: string): Promise<WeightsFile> {
  const run = await stat(given)
    .then((found) => found.isDirectory())
    .catch(() => false)
  const path = run ? join(given, 'best.safetensors') : given
  const file = await FileRanges.open(path)
  let head: Uint8Array
  try {
    head = new Uint8Array(await file.read(0, Math.min(16, file.size)))
  } finally {
    await file.close()
  }
  const begins = (magic: Uint8Array) => magic.every((byte, i) => byte === head[i])
  if (begins(zipMagic) || begins(legacyMagic)) return TorchFile.open(path)
  if (begins(hdf5Magic)) return KerasFile.open(path)
  if (isPickle(head))
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} is a bare pickle, which may hold any program: use torch.save instead.`,
    )
  // A header's length, then its JSON.
  if (head.length > 8 && head[8] !== 0x7b)
    throw new SemgenError(
      'BAD_FILE',
      `${path} holds no weights in a format that is read: safetensors, .pt of torch.save, or Keras's .h5.`,
    )
  return SafetensorsFile.open(path)
}
