import { SemgenError, shown, shownBriefly } from '../../errors.js'
import { FileRanges } from '../../file-ranges.js'
import { type ZipMember, zipDirectory } from '../../zip-directory.js'
import { dtypeBytes, type TensorData, viewAs } from '../dtypes.js'
import { elements, type StoredTensor } from '../safetensors.js'
import type { WeightsFile } from '../weights-file.js'
import { PickleReader } from './pickle.js'
import { findState } from './state-finder.js'
import { type TorchStorage, type TorchTensor, torchWorld } from './values.js'

/** The pickles of a file must lie within so many bytes. A Y-Net's checkpoint with its optimizer takes 80 kB. */
const pickleLimit = 64 * 2 ** 20
/** Pickled 0x1950a86a20f9469cfc6c, protocol 2: what a legacy file of torch.save begins with. */
export const legacyMagic = Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19)
const legacyStart = legacyMagic.length + 1

/** What torch.save has written, in either of its layouts. Its pickle is read, never run. */
export class TorchFile implements WeightsFile {
  readonly path: string
  readonly format: 'PyTorch' | 'PyTorch (legacy layout)'
  readonly entries: WeightsFile['entries']
  readonly metadata: Readonly<Record<string, string>>
  readonly #file: FileRanges
  readonly #tensors: ReadonlyMap<string, TorchTensor>
  /** First byte of each storage. */
  readonly #places: ReadonlyMap<string, number>

  private constructor(file: FileRanges, format: TorchFile['format'], content: Content) {
    const { tensors, metadata } = findState(file.path, content.root)
    this.path = file.path
    this.format = format
    this.#file = file
    this.#tensors = tensors
    this.#places = content.places
    this.metadata = metadata
    this.entries = new Map([...tensors].map(([key, { shape, storage }]) => [key, { dtype: storage.dtype, shape }]))
  }

  /**
   * @throws SemgenError IO; BAD_FILE when it is cut short, damaged or holds no weights; UNSUPPORTED when its pickle asks
   * for anything but tensors and plain values
   */
  static async open(path: string): Promise<TorchFile> {
    const file = await FileRanges.open(path)
    try {
      const head = new Uint8Array(await file.read(0, Math.min(file.size, legacyMagic.length)))
      const legacy = head.length === legacyMagic.length && head.every((byte, i) => byte === legacyMagic[i])
      const content = legacy ? await readLegacy(file) : await readZip(file)
      return new TorchFile(file, legacy ? 'PyTorch (legacy layout)' : 'PyTorch', content)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async read(key: string): Promise<StoredTensor> {
    const tensor = this.#tensors.get(key)
    if (!tensor) throw new SemgenError('BAD_FILE', `${this.path} has no tensor ${shown(key)}.`)
    const { storage, shape, strides, offset } = tensor
    const width = dtypeBytes[storage.dtype]
    const count = elements(shape)
    const place = this.#places.get(storage.key)!
    if (inOrder(shape, strides)) {
      const bytes = await this.#file.read(place + offset * width, count * width)
      return { dtype: storage.dtype, shape, data: viewAs(storage.dtype, bytes) }
    }
    const whole = viewAs(storage.dtype, await this.#file.read(place, storage.count * width))
    const data = viewAs(storage.dtype, new ArrayBuffer(count * width))
    gather(whole, data, tensor)
    return { dtype: storage.dtype, shape, data }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** The pickled value, and where storages lie: each has been seen to fit into the file. */
interface Content {
  readonly root: unknown
  readonly places: Map<string, number>
}

/** Members: NAME/data.pkl, NAME/data/KEY for each storage, NAME/byteorder since torch 2. */
async function readZip(file: FileRanges): Promise<Content> {
  const { path } = file
  const members = await zipDirectory(file)
  const pickles = [...members.keys()].filter((name) => /^([^/]+\/)?data\.pkl$/.test(name))
  if (pickles.length !== 1)
    throw new SemgenError('BAD_FILE', `${path} is a zip archive, but none of PyTorch: it has no data.pkl.`)
  const folder = pickles[0]!.slice(0, -'data.pkl'.length)
  if (members.has(`${folder}constants.pkl`))
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} is a TorchScript program, which is not run: save its state_dict() with torch.save.`,
    )
  const order = members.get(`${folder}byteorder`)
  if (order && order.bytes <= 16 && new TextDecoder().decode(await content(file, order)) !== 'little')
    throw bigEndian(path)
  const pickle = members.get(pickles[0]!)!
  if (pickle.bytes > pickleLimit) throw oversized(path, pickle.bytes)
  const storages = new Map<string, TorchStorage>()
  const reader = new PickleReader(path, new Uint8Array(await content(file, pickle)), torchWorld(path, storages))
  const root = reader.next()
  const places = new Map<string, number>()
  for (const storage of storages.values()) {
    const member = members.get(`${folder}data/${storage.key}`)
    const bytes = storage.count * dtypeBytes[storage.dtype]
    if (member) plainly(path, member)
    if (member?.bytes !== bytes)
      throw new SemgenError(
        'BAD_FILE',
        `${path} is damaged: its storage ${shown(storage.key)} should have ${bytes} bytes and ${member ? `has ${member.bytes}` : 'is missing'}.`,
      )
    places.set(storage.key, member.offset)
  }
  return { root, places }
}

function content(file: FileRanges, member: ZipMember): Promise<ArrayBuffer> {
  return file.read(plainly(file.path, member).offset, member.bytes)
}

/** PyTorch compresses nothing, so that what is compressed may be a bomb. */
function plainly(path: string, member: ZipMember): ZipMember {
  if (!member.plain)
    throw new SemgenError(
      'UNSUPPORTED',
      `${path} was refused: its member ${shown(member.name)} is compressed or encrypted, and PyTorch writes neither; save the weights again with torch.save.`,
    )
  return member
}

/**
 * Pickles one after another: the magic number, a protocol version, what the writing machine was like, the value, and the
 * keys of its storages. Then each storage, in the order of the keys: how many elements, and the elements.
 */
async function readLegacy(file: FileRanges): Promise<Content> {
  const { path } = file
  const head = new Uint8Array(await file.read(0, Math.min(file.size, pickleLimit)))
  const storages = new Map<string, TorchStorage>()
  const reader = new PickleReader(path, head, torchWorld(path, storages), legacyStart)
  const [version, machine, root, keys] = [reader.next(), reader.next(), reader.next(), reader.next()]
  if (version !== 1001)
    throw new SemgenError(
      'BAD_FILE',
      `${path} is of version ${shownBriefly(version)} of PyTorch's legacy layout, not 1001.`,
    )
  if (machine instanceof Map && machine.get('little_endian') === false) throw bigEndian(path)
  if (!Array.isArray(keys) || keys.length !== storages.size)
    throw new SemgenError('BAD_FILE', `${path} is damaged: its list of storages does not name those of its tensors.`)
  const places = new Map<string, number>()
  let at = reader.at
  for (const key of keys) {
    const storage = storages.get(key)
    if (!storage || places.has(key))
      throw new SemgenError('BAD_FILE', `${path} is damaged: its storage ${shownBriefly(key)} belongs to no tensor.`)
    const count = new DataView(await file.read(at, 8)).getBigInt64(0, true)
    if (count !== BigInt(storage.count))
      throw new SemgenError(
        'BAD_FILE',
        `${path} is damaged: its storage ${shown(key)} should have ${storage.count} elements and has ${count}.`,
      )
    places.set(key, at + 8)
    at += 8 + storage.count * dtypeBytes[storage.dtype]
    if (at > file.size)
      throw new SemgenError(
        'BAD_FILE',
        `${path} is cut short: its storage ${shown(key)} ends at byte ${at}, and the file at ${file.size}.`,
      )
  }
  return { root, places }
}

const bigEndian = (path: string) =>
  new SemgenError('UNSUPPORTED', `${path} was written on a big-endian machine; save it again on a usual one.`)
const oversized = (path: string, bytes: number) =>
  new SemgenError('UNSUPPORTED', `${path} was refused: its pickle has ${bytes} bytes, far more than weights take.`)

/** Whether the elements lie one after another, the last axis fastest. Strides of axes of one element say nothing. */
function inOrder(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return elements(shape) === 0
    expected *= shape[axis]!
  }
  return true
}

/** Copies a strided tensor's elements in C order. */
function gather(from: TensorData, to: TensorData, { shape, strides, offset }: TorchTensor): void {
  const index = new Array<number>(shape.length).fill(0)
  let at = offset
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      at -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
}
