import { access } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { SemgenError } from '../errors.js'
import { checkShape, type NetworkShape, stateLayout } from '../nn/index.js'
import { type Fit, fitWeights } from './fit.js'
import { shapeOfWeights } from './network-shape.js'
import { writeOnnx } from './onnx/write.js'
import { openWeights } from './open.js'
import { type StoredTensor, writeSafetensors } from './safetensors.js'
import { writeTorch } from './torch/write.js'

/** What a file of weights says it is, in its metadata. */
export const weightsFormat = 'semgen-native weights'

/** A network by itself: its weights by published key, and what is known of how to use them. */
export interface StoredNetwork {
  readonly shape: NetworkShape
  readonly values: Map<string, Float32Array | Int32Array>
  readonly metadata: Readonly<Record<string, string>>
  readonly fit: Fit
}

/** What a run's checkpoint says of the run; no business of who uses the weights. */
const ofTheRun = new Set(['format', 'version', 'fingerprint', 'state', 'log_bytes', 'plan'])

/**
 * Reads the network of a file, whole. Counters of batches that are not there are 0.
 * @throws SemgenError BAD_CHECKPOINT when it is no network of this family or a tensor is missing; IO, BAD_FILE, UNSUPPORTED
 */
export async function readNetwork(path: string): Promise<StoredNetwork> {
  const file = await openWeights(path)
  try {
    const shape = shapeOfWeights(file)
    const { values, fit } = await fitWeights(file, shape)
    const state = new Map<string, Float32Array | Int32Array>()
    for (const { key, dtype, shape: extents } of stateLayout(shape)) {
      const value = values.get(key) ?? (dtype === 'i32' ? new Int32Array(1) : undefined)
      if (!value)
        throw new SemgenError(
          'BAD_CHECKPOINT',
          `${path} has no tensor ${key} [${extents.join(', ')}], which its network needs: it can be a start, and no network by itself.`,
        )
      state.set(key, value)
    }
    const metadata = Object.fromEntries(Object.entries(file.metadata).filter(([key]) => !ofTheRun.has(key)))
    return { shape, values: state, fit, metadata: { source: `${basename(path)} (${file.format})`, ...metadata } }
  } finally {
    await file.close()
  }
}

/** Formats that weights are written in, by the ending of the file's name. */
const endings = ['.safetensors', '.pt', '.pth', '.onnx']

/** @throws SemgenError BAD_OPTION when the ending says no format, or the file is there and may not be replaced */
export async function checkTarget(path: string, force: boolean): Promise<void> {
  if (!endings.includes(extname(path).toLowerCase()))
    throw new SemgenError('BAD_OPTION', `${path} has to end in ${endings.join(', ')}, which says the format to write.`)
  const there = await access(path).then(
    () => true,
    () => false,
  )
  if (there && !force) throw new SemgenError('BAD_OPTION', `${path} is there already: give another name, or --force.`)
}

/**
 * Writes a network in the format that the file's name ends in, with the record of how to use it: network, channels,
 * patch, normalisation, and what `metadata` says besides (spacing, intensities, outputs).
 * @throws SemgenError BAD_OPTION for another ending, or a shape that no network has and so no reader would take; UNSUPPORTED when the format cannot hold it, IO
 */
export async function writeNetwork(
  path: string,
  { shape, values, metadata }: Omit<StoredNetwork, 'fit'>,
): Promise<void> {
  await checkTarget(path, true)
  checkShape(shape)
  const usage = {
    ...metadata,
    format: weightsFormat,
    version: '1',
    network: JSON.stringify(shape),
    channels: metadata.channels ?? String(shape.inputChannels), // their names where they are known
    patch: JSON.stringify(shape.patch),
    norm: shape.norm,
  }
  const ending = extname(path).toLowerCase()
  if (ending === '.onnx') return writeOnnx(path, shape, values, usage)
  const tensors = new Map<string, StoredTensor>()
  for (const { key, shape: extents } of stateLayout(shape)) {
    const value = values.get(key)!
    tensors.set(
      key,
      value instanceof Float32Array
        ? { dtype: 'F32', shape: extents, data: value }
        : { dtype: 'I64', shape: [], data: BigInt64Array.from(value, BigInt) },
    )
  }
  if (ending === '.safetensors') await writeSafetensors(path, tensors, usage)
  else await writeTorch(path, tensors, usage)
}
