import { SemgenError } from '../errors.js'
import { parsedJson } from '../json.js'
import { checkShape, levelName, type NetworkShape, publishedUNet } from '../nn/index.js'
import { kindOf } from './kinds.js'
import type { WeightsFile } from './weights-file.js'

/** Every network of the family has it, whatever its size. */
const firstKey = 'down_tr64.ops.0.conv1.weight'

/**
 * What stands before the published keys in a file: "module." of DataParallel, "classficationNet." of the published
 * code, or any other; empty where nothing does.
 * @returns undefined when the file holds no network of this family
 * @throws SemgenError BAD_CHECKPOINT when it holds several
 */
export function keyPrefix(file: WeightsFile): string | undefined {
  const first = [...file.entries.keys()].filter(
    (key) => kindOf(key) === 'parameter' && (key === firstKey || key.endsWith(`.${firstKey}`)),
  )
  const prefixes = first.map((key) => key.slice(0, -firstKey.length)).filter((prefix) => !prefix.startsWith('best.'))
  if (prefixes.length > 1)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${file.path} holds ${prefixes.length} networks (keys begin with ${prefixes.map((prefix) => `"${prefix}"`).join(', ')}): save the one that is meant.`,
    )
  return prefixes[0]
}

/**
 * Base width and depth of the network whose weights a file holds; undefined where it holds none of this family. An
 * encoder alone is enough.
 * @throws SemgenError BAD_CHECKPOINT when it holds several
 */
export function sizeOfWeights(file: WeightsFile): Pick<NetworkShape, 'baseWidth' | 'depth'> | undefined {
  const prefix = keyPrefix(file)
  const first = file.entries.get(`${prefix}${firstKey}`)?.shape
  if (prefix === undefined || first?.length !== 5) return undefined
  let depth = 1
  while (depth < 8 && file.entries.has(`${prefix}down_tr${levelName(depth)}.ops.0.conv1.weight`)) depth++
  return { baseWidth: first[0]!, depth }
}

/**
 * The network whose weights a file holds, from keys and shapes; patch and normalisation as the file says, else as
 * published: 64 x 64 x 32, statistics of the batch.
 * @throws SemgenError BAD_CHECKPOINT when it is no network of this family
 */
export function shapeOfWeights(file: WeightsFile): NetworkShape {
  const size = sizeOfWeights(file)
  if (!size)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${file.path} holds no network of this program: it has no ${firstKey} of five axes (see "weights show").`,
    )
  const { depth } = size
  const prefix = keyPrefix(file)
  const extents = (key: string) => file.entries.get(`${prefix}${key}`)?.shape
  const published = publishedUNet()
  const lowest = depth - 2
  const turn = extents(`up_tr${levelName(lowest)}.ops.0.conv1.weight`)
  const below = extents(`down_tr${levelName(depth - 1)}.ops.1.conv1.weight`)?.[0]
  const head = extents('clc_out.fc1.weight')
  const linear = extents('fc.weight')
  const said = saidShape(file.metadata)
  const shape: NetworkShape = {
    kind: turn ? (head ? 'y-net' : said.kind === 'auto-encoder' ? 'auto-encoder' : 'u-net') : 'classifier',
    ...size,
    inputChannels: extents(firstKey)![1]!,
    outputChannels: extents('out_tr.final_conv.weight')?.[0] ?? published.outputChannels,
    classes: (turn ? head : linear)?.[0] ?? 0,
    patch: said.patch ?? published.patch,
    skips: turn ? turn[1] !== below : published.skips,
    norm: said.norm ?? published.norm,
  }
  if (!turn && shape.classes === 0)
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${file.path} holds an encoder alone, without decoder or classifier: it can be a start, and no network by itself.`,
    )
  try {
    checkShape(shape)
  } catch (error) {
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${file.path} holds no network of this program: ${(error as Error).message}`,
    )
  }
  return shape
}

/** What the file itself says of its network: ours whole, others perhaps their normalisation. */
function saidShape(metadata: Readonly<Record<string, string>>): Partial<NetworkShape> {
  const said = { ...object(metadata.network) }
  const norm = metadata.norm ?? said.norm
  const patch: unknown = said.patch ?? parsedJson(metadata.patch)
  return {
    ...(said.kind === 'auto-encoder' ? { kind: said.kind } : {}),
    ...(norm === 'batch' || norm === 'running' ? { norm } : {}),
    ...(Array.isArray(patch) && patch.length === 3 && patch.every((extent) => Number.isInteger(extent) && extent > 0)
      ? { patch: patch as unknown as NetworkShape['patch'] }
      : {}),
  }
}

function object(text: string | undefined): Record<string, unknown> {
  const value = parsedJson(text)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
