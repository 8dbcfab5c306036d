import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { z } from 'zod'
import type { Tensor } from '../engine/index.js'
import { SemgenError } from '../errors.js'
import type { Extents } from '../extents.js'
import { parsedJson } from '../json.js'
import type { Network } from '../nn/index.js'
import {
  optimizerPrefix,
  readSafetensors,
  type StoredTensor,
  stateFromStored,
  stateToWrite,
  type TensorToWrite,
  writeSafetensors,
} from '../weights/index.js'
import { type EmbeddingPlan, embeddingPlan } from './embedding-plan.js'

/**
 * embedding.safetensors: the auto-encoder. While it trains: weights, moments (`optimizer.`), the best weights so far
 * (`best.`) and, in the metadata, plan and state. When it is done: the best weights alone.
 */

const format = 'semgen-native embedding'
const bestPrefix = 'best.'
const counter = z.number().int().min(0)

/** Where the training is: plain JSON. */
export const embeddingState = z.object({
  done: z.boolean(),
  /** Steps made, and epochs that have been validated. */
  step: counter,
  validated: counter,
  schedule: z.object({ learningRate: z.number(), best: z.number().nullable(), waited: counter }),
  best: z.object({ loss: z.number().nullable(), epoch: counter, waited: counter }),
})
export type EmbeddingState = z.infer<typeof embeddingState>

/** A state dict in memory. */
export type Weights = ReadonlyMap<string, Float32Array | Int32Array>

export interface EmbeddingCheckpoint {
  readonly plan: EmbeddingPlan
  readonly state: EmbeddingState
  /** To go on from; the best ones when it is done. */
  readonly weights: Weights
  /** Best weights so far; undefined before the first validation and when it is done. */
  readonly best: Weights | undefined
  readonly optimizer: ReadonlyMap<string, StoredTensor>
}

/** What tells two auto-encoders apart that must not be mixed: the scans they see, the seed, and what was asked. */
export function embeddingFingerprint(
  scans: readonly { readonly id: string; readonly shape: Extents; readonly split: string }[],
  asked: unknown,
): string {
  const parts = [scans.map(({ id, shape, split }) => [id, shape, split]), asked]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

/** Writes the checkpoint, or leaves the one before. @throws SemgenError IO, DIVERGED when a weight is no number */
export async function writeEmbedding(
  path: string,
  network: Network,
  about: { readonly plan: EmbeddingPlan; readonly state: EmbeddingState; readonly fingerprint: string },
  training?: { readonly optimizer: ReadonlyMap<string, Tensor>; readonly best: Weights | undefined },
): Promise<void> {
  const tensors = stateToWrite(network)
  if (training) {
    for (const [name, tensor] of training.optimizer)
      tensors.set(`${optimizerPrefix}${name}`, {
        dtype: 'F32',
        shape: tensor.shape,
        data: () => tensor.read<Float32Array>(),
      })
    for (const [key, data] of training.best ?? []) tensors.set(`${bestPrefix}${key}`, asStored(data, network, key))
  }
  await writeSafetensors(path, tensors, {
    format,
    version: '1',
    fingerprint: about.fingerprint,
    network: JSON.stringify(network.shape),
    plan: JSON.stringify(about.plan),
    state: JSON.stringify(about.state),
  })
}

function asStored(data: Float32Array | Int32Array, network: Network, key: string): TensorToWrite {
  if (data instanceof Float32Array) return { dtype: 'F32', shape: network.tensors.get(key)!.shape, data }
  return { dtype: 'I64', shape: [], data: BigInt64Array.from(data, (value) => BigInt(value)) }
}

/**
 * Reads the checkpoint to go on from.
 * @returns undefined where there is none
 * @throws SemgenError IO, BAD_FILE when it is damaged, BAD_CHECKPOINT when it belongs to other scans or options
 */
export async function readEmbedding(path: string, fingerprint: string): Promise<EmbeddingCheckpoint | undefined> {
  if (!existsSync(path)) return undefined
  const { tensors, metadata } = await readSafetensors(path)
  if (metadata.format !== format || metadata.version !== '1')
    throw new SemgenError('BAD_CHECKPOINT', `${path} is no auto-encoder of a discovery: move it away, or use --force.`)
  if (metadata.fingerprint !== fingerprint)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${path} was trained on other scans or with other options: discover into another folder, or use --force.`,
    )
  const plan = embeddingPlan.safeParse(parsedJson(metadata.plan))
  const state = embeddingState.safeParse(parsedJson(metadata.state))
  if (!plan.success || !state.success)
    throw new SemgenError('BAD_CHECKPOINT', `${path} is damaged: its state cannot be read. --force begins anew.`)
  const shape = plan.data.network
  const part = (prefix: string) =>
    new Map(
      [...tensors].flatMap(([key, t]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), t] as const] : [])),
    )
  const best = part(bestPrefix)
  return {
    plan: plan.data,
    state: state.data,
    weights: stateFromStored(path, shape, tensors),
    best: best.size > 0 ? stateFromStored(path, shape, best) : undefined,
    optimizer: part(optimizerPrefix),
  }
}
