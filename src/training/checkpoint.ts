import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import { parsedJson } from '../json.js'
import type { Network, NetworkShape } from '../nn/index.js'
import {
  optimizerPrefix,
  readSafetensors,
  type StoredTensor,
  stateFromStored,
  stateToWrite,
  type TensorToWrite,
  weightsFormat,
  writeSafetensors,
} from '../weights/index.js'
import { type RunState, runState } from './state.js'

const checkpointFormat = 'semgen-native checkpoint'

/**
 * last.safetensors: everything needed to go on. Weights under their published keys, the optimizer's moments under
 * `optimizer.`, and in the metadata the run's state, the size of its log, and the fingerprint of what it was asked.
 */
export interface Checkpoint {
  readonly state: RunState
  /** Bytes of metrics.jsonl that belong to this state. */
  readonly logBytes: number
  readonly weights: ReadonlyMap<string, Float32Array | Int32Array>
  readonly optimizer: ReadonlyMap<string, StoredTensor>
}

/** What tells two runs apart whose checkpoints must not be mixed. */
export function fingerprint(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

/**
 * Writes last.safetensors, or leaves the one before.
 * @throws SemgenError DIVERGED when a weight is no number: a checkpoint always holds weights to go on from; IO
 */
export async function writeCheckpoint(
  path: string,
  network: Network,
  optimizer: ReadonlyMap<string, Tensor>,
  about: { readonly state: RunState; readonly logBytes: number; readonly fingerprint: string },
): Promise<void> {
  const tensors = stateToWrite(network)
  for (const [name, tensor] of optimizer)
    tensors.set(`${optimizerPrefix}${name}`, {
      dtype: 'F32',
      shape: tensor.shape,
      data: () => tensor.read<Float32Array>(),
    })
  await writeSafetensors(path, finiteOnly(tensors), {
    format: checkpointFormat,
    version: '1',
    fingerprint: about.fingerprint,
    network: JSON.stringify(network.shape),
    log_bytes: String(about.logBytes),
    state: JSON.stringify(about.state),
  })
}

/**
 * Reads last.safetensors.
 * @param expected the fingerprint of the run that wants to go on
 * @throws SemgenError IO, BAD_FILE when it is damaged, BAD_CHECKPOINT when it is another run's or another network's
 */
export async function readCheckpoint(path: string, shape: NetworkShape, expected: string): Promise<Checkpoint> {
  const { tensors, metadata } = await readSafetensors(path)
  if (metadata.format !== checkpointFormat)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} is no checkpoint to go on from${metadata.format ? `, but "${metadata.format}"` : ''}: --resume takes the last.safetensors of a run.`,
    )
  if (metadata.version !== '1')
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} has version ${metadata.version} and this program reads version 1: go on with the program that wrote it.`,
    )
  if (metadata.fingerprint !== expected)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} belongs to another run than the config.json beside it: configuration, cohort or patterns differ.`,
    )
  const state = runState.safeParse(parsedJson(metadata.state))
  const logBytes = z.coerce.number().int().min(0).safeParse(metadata.log_bytes)
  if (!state.success || !logBytes.success)
    throw new SemgenError('BAD_CHECKPOINT', `${path} is damaged: its state cannot be read.`)
  const optimizer = new Map<string, StoredTensor>()
  for (const [key, tensor] of tensors)
    if (key.startsWith(optimizerPrefix)) optimizer.set(key.slice(optimizerPrefix.length), tensor)
  const weights = stateFromStored(path, shape, tensors)
  return { state: state.data, logBytes: logBytes.data, weights, optimizer }
}

/**
 * Writes best.safetensors: weights alone, with a record of how to use them.
 * @throws SemgenError DIVERGED when a weight is no number; IO
 */
export async function writeWeights(
  path: string,
  network: Network,
  about: Readonly<Record<string, unknown>>,
): Promise<void> {
  const metadata = Object.fromEntries(
    Object.entries({ ...about, network: network.shape }).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )
  await writeSafetensors(path, finiteOnly(stateToWrite(network)), { format: weightsFormat, version: '1', ...metadata })
}

/** Loads the weights of a file into a network. @throws SemgenError IO, BAD_FILE, BAD_CHECKPOINT when they do not fit */
export async function loadWeights(path: string, network: Network): Promise<void> {
  const { tensors } = await readSafetensors(path)
  network.load(stateFromStored(path, network.shape, tensors))
}

function finiteOnly(tensors: ReadonlyMap<string, TensorToWrite>): Map<string, TensorToWrite> {
  const checked = new Map<string, TensorToWrite>()
  for (const [key, tensor] of tensors)
    checked.set(key, {
      ...tensor,
      data: () => {
        const data = typeof tensor.data === 'function' ? tensor.data() : tensor.data
        if (data instanceof Float32Array && !data.every(Number.isFinite))
          throw new SemgenError('DIVERGED', `Training diverged: ${key} holds values that are no numbers.`)
        return data
      },
    })
  return checked
}
