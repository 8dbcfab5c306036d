import { reason, SemgenError, shown } from '../errors.js'
import { FileRanges } from '../file-ranges.js'
import { writeAtomically } from '../files.js'
import { type Dtype, dtypeBytes, holds, isDtype, type TensorData, viewAs } from './dtypes.js'
import type { WeightsFile } from './weights-file.js'

/**
 * The safetensors format: a 64-bit little-endian header length, a JSON header, the bytes of every tensor.
 * https://github.com/huggingface/safetensors, section "Format". Reading trusts nothing: every size is checked against
 * the file before anything is allocated.
 */

/** One tensor of a file that is open: where it lies, without its elements. */
export interface TensorEntry {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** First byte in the file, and how many. */
  readonly offset: number
  readonly bytes: number
}

/** A tensor with its elements, in C order. */
export interface StoredTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: TensorData
}

/** A tensor to be written; `data` may be a function, called when its turn comes, so that one tensor is held at a time. */
export interface TensorToWrite {
  readonly dtype: Dtype
  /** Empty for a scalar. */
  readonly shape: readonly number[]
  readonly data: TensorData | (() => TensorData)
}

/** The limit of the reference implementation. Our largest header, a Y-Net's checkpoint, is 60 kB. */
const headerLimit = 100_000_000
const metadataKey = '__metadata__'
/** Element types that the format has and that nothing here computes with. */
const otherDtypes: ReadonlySet<unknown> = new Set([
  ...['F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'],
  ...['F6_E2M3', 'F6_E3M2', 'F4', 'C64'],
])

/** A safetensors file held open, so that tensors are read one at a time. */
export class SafetensorsFile implements WeightsFile {
  readonly path: string
  readonly format = 'safetensors'
  /** By name, in the order of the header. */
  readonly entries: ReadonlyMap<string, TensorEntry>
  readonly metadata: Readonly<Record<string, string>>
  readonly #file: FileRanges

  private constructor(file: FileRanges, header: Header) {
    this.path = file.path
    this.#file = file
    this.entries = header.entries
    this.metadata = header.metadata
  }

  /** @throws SemgenError IO when it cannot be read, BAD_FILE when it is cut short or is not what its header says */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = await FileRanges.open(path)
    try {
      return new SafetensorsFile(file, await readHeader(file))
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** @throws SemgenError BAD_FILE when there is no tensor of that name, IO when it cannot be read */
  async read(name: string): Promise<StoredTensor> {
    const entry = this.entries.get(name)
    if (!entry) throw new SemgenError('BAD_FILE', `${this.path} has no tensor ${shown(name)}.`)
    const bytes = await this.#file.read(entry.offset, entry.bytes)
    return { dtype: entry.dtype, shape: entry.shape, data: viewAs(entry.dtype, bytes) }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/**
 * Reads a whole safetensors file.
 * @throws SemgenError IO when it cannot be read, BAD_FILE when it is cut short or is not what its header says
 */
export async function readSafetensors(
  path: string,
): Promise<{ tensors: Map<string, StoredTensor>; metadata: Readonly<Record<string, string>> }> {
  const file = await SafetensorsFile.open(path)
  try {
    const tensors = new Map<string, StoredTensor>()
    for (const name of file.entries.keys()) tensors.set(name, await file.read(name))
    return { tensors, metadata: file.metadata }
  } finally {
    await file.close()
  }
}

/**
 * Writes a safetensors file, or nothing. The header keeps the order of `tensors`; their bytes are laid down by falling
 * element size, so that every tensor is aligned to its own elements in the file.
 * @throws SemgenError IO when it cannot be written, BAD_OPTION when a tensor's data is not what its shape and dtype say
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const laid = [...tensors].sort(([, a], [, b]) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype])
  const ranges = new Map<string, readonly [number, number]>()
  let end = 0
  for (const [name, tensor] of laid) {
    if (name === metadataKey) throw new SemgenError('BAD_OPTION', `No tensor may be called ${metadataKey}.`)
    const begin = end
    end += elements(tensor.shape) * dtypeBytes[tensor.dtype]
    ranges.set(name, [begin, end])
  }
  const header = JSON.stringify({
    ...(Object.keys(metadata).length > 0 ? { [metadataKey]: metadata } : {}),
    ...Object.fromEntries(
      [...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape, data_offsets: ranges.get(name) }]),
    ),
  })
  await writeAtomically(path, fileBytes(header, laid))
}

/** How many elements a shape has: 1 for a scalar. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1)
}

function* fileBytes(header: string, laid: readonly (readonly [string, TensorToWrite])[]): Iterable<Uint8Array> {
  const text = new TextEncoder().encode(header)
  const padded = Math.ceil(text.length / 8) * 8
  const start = new Uint8Array(8 + padded).fill(0x20)
  new DataView(start.buffer).setBigUint64(0, BigInt(padded), true)
  start.set(text, 8)
  yield start
  for (const [name, tensor] of laid) {
    const data = typeof tensor.data === 'function' ? tensor.data() : tensor.data
    if (!holds(tensor.dtype, data) || data.length !== elements(tensor.shape))
      throw new SemgenError(
        'BAD_OPTION',
        `Tensor ${name} was to be written as ${tensor.dtype} [${tensor.shape.join(', ')}], but its data are ${data.length} elements of a ${data.constructor.name}.`,
      )
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
}

interface Header {
  readonly entries: Map<string, TensorEntry>
  readonly metadata: Record<string, string>
}

async function readHeader(file: FileRanges): Promise<Header> {
  const { path, size } = file
  if (size < 8) throw new SemgenError('BAD_FILE', `${path} is ${size} bytes, too short to be a safetensors file.`)
  const length = new DataView(await file.read(0, 8)).getBigUint64(0, true)
  if (length > BigInt(headerLimit))
    throw new SemgenError(
      'BAD_FILE',
      `${path} is no safetensors file: its first eight bytes ask for a header of ${length} bytes (at most ${headerLimit}).`,
    )
  const start = 8 + Number(length)
  if (start > size)
    throw new SemgenError(
      'BAD_FILE',
      `${path} is cut short: its header alone ends at byte ${start}, and the file at ${size}.`,
    )
  const header = parseHeader(path, await file.read(8, Number(length)))
  return checkHeader(path, header, start, size)
}

function parseHeader(path: string, bytes: ArrayBuffer): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new SemgenError('BAD_FILE', `${path} is no safetensors file: its header is not JSON (${reason(error)}).`)
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new SemgenError('BAD_FILE', `${path} is no safetensors file: its header is not a JSON object.`)
  return header as Record<string, unknown>
}

function checkHeader(path: string, header: Record<string, unknown>, start: number, size: number): Header {
  const entries = new Map<string, TensorEntry>()
  for (const [name, value] of Object.entries(header))
    if (name !== metadataKey) entries.set(name, checkEntry(path, name, value, start, size))
  // The format wants every byte in exactly one tensor. Gaps and overlaps are how files hide data or lie.
  let end = start
  for (const [name, entry] of [...entries].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (entry.offset !== end)
      throw new SemgenError(
        'BAD_FILE',
        `${path} is damaged: tensor ${shown(name)} begins at byte ${entry.offset} and ${entry.offset < end ? 'overlaps the one before it' : 'leaves a gap after the one before it'}, which ends at ${end}.`,
      )
    end += entry.bytes
  }
  if (end !== size)
    throw new SemgenError('BAD_FILE', `${path} is damaged: its tensors end at byte ${end}, and the file at ${size}.`)
  return { entries, metadata: checkMetadata(path, header[metadataKey]) }
}

function checkEntry(path: string, name: string, value: unknown, start: number, size: number): TensorEntry {
  const { dtype, shape, data_offsets: range } = (value ?? {}) as Record<string, unknown>
  const refuse = (why: string) => new SemgenError('BAD_FILE', `${path} is damaged: tensor ${shown(name)} ${why}.`)
  if (otherDtypes.has(dtype))
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} was refused: tensor ${shown(name)} holds ${dtype}, which is not read; save it as F32 or another common type.`,
    )
  if (!isDtype(dtype)) throw refuse(`has the unknown dtype ${shown(dtype)}`)
  if (!Array.isArray(shape) || !shape.every(isCount)) throw refuse(`has the impossible shape ${shown(shape)}`)
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount))
    throw refuse(`has the impossible offsets ${shown(range)}`)
  const [begin, end] = range as [number, number]
  if (end < begin) throw refuse(`ends at byte ${end}, before it begins at ${begin}`)
  if (start + end > size)
    throw new SemgenError(
      'BAD_FILE',
      `${path} is cut short: tensor ${shown(name)} ends at byte ${start + end}, and the file at ${size}.`,
    )
  const bytes = elements(shape as number[]) * dtypeBytes[dtype]
  if (bytes !== end - begin)
    throw refuse(`has ${end - begin} bytes where ${dtype} [${shape.join(', ')}] takes ${bytes}`)
  return { dtype, shape: shape as number[], offset: start + begin, bytes }
}

function checkMetadata(path: string, metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {}
  const valid =
    typeof metadata === 'object' &&
    metadata !== null &&
    !Array.isArray(metadata) &&
    Object.values(metadata).every((value) => typeof value === 'string')
  if (!valid) throw new SemgenError('BAD_FILE', `${path} is damaged: its ${metadataKey} is not an object of strings.`)
  return metadata as Record<string, string>
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
