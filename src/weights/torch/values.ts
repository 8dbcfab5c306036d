import { SemgenError, shown, shownBriefly } from '../../errors.js'
import { type Dtype, dtypeBytes } from '../dtypes.js'
import { elements } from '../safetensors.js'
import { type Pickled, PickledName, type PickleWorld } from './pickle.js'

/** The elements that one or several tensors look at; where they lie is the file layout's business. */
export class TorchStorage {
  readonly key: string
  readonly dtype: Dtype
  readonly count: number
  constructor(key: string, dtype: Dtype, count: number) {
    this.key = key
    this.dtype = dtype
    this.count = count
  }
}

/** A tensor: a strided look at a storage. Offset, strides and shape are in elements. */
export class TorchTensor {
  readonly storage: TorchStorage
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  constructor(storage: TorchStorage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage
    this.offset = offset
    this.shape = shape
    this.strides = strides
  }
}

class NumpyDtype {
  readonly code: string
  littleEndian = true
  constructor(code: string) {
    this.code = code
  }
}

/** Classes of storages, by name within torch. */
export const storageClasses: Readonly<Record<string, Dtype>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
}

/**
 * All that a pickle of weights may name: OrderedDict, tensors, parameters, storages, torch.Size, and NumPy's scalars.
 * Storages are kept by key in `storages`, each once.
 * @param path named in errors
 */
export function torchWorld(path: string, storages: Map<string, TorchStorage>): PickleWorld {
  const damaged = (why: string) => new SemgenError('BAD_FILE', `${path} is damaged: ${why}.`)
  const names = new Map<string, PickledName>()
  const allow = (name: string, call?: (args: readonly Pickled[]) => Pickled) =>
    names.set(name, new PickledName(name, call))

  allow('collections.OrderedDict', (args) => {
    if (args.length > 1 || (args.length === 1 && !isPairs(args[0])))
      throw damaged('an OrderedDict in it is made of other than pairs')
    return new Map(args[0] as [Pickled, Pickled][] | undefined)
  })
  const tensor = ([storage, offset, shape, strides]: readonly Pickled[]) =>
    checkedTensor(storage, offset, shape, strides, damaged)
  allow('torch._utils._rebuild_tensor', tensor)
  allow('torch._utils._rebuild_tensor_v2', tensor)
  allow('torch._utils._rebuild_parameter', ([data]) => data)
  allow('torch.Size', ([extents]) => extents)
  allow('_codecs.encode', ([content, encoding]) => {
    // Protocol 2 has no bytes: a scalar's are written as text. The limit is that of the widest scalar, and then some.
    if (typeof content !== 'string' || encoding !== 'latin1' || content.length > 64)
      throw damaged('it encodes a text that is no scalar')
    return Uint8Array.from(content, (letter) => letter.charCodeAt(0))
  })
  allow('numpy.dtype', ([code]) => {
    if (typeof code !== 'string') throw damaged('it has a NumPy type whose name is no text')
    return new NumpyDtype(code)
  })
  for (const core of ['numpy.core', 'numpy._core'])
    allow(`${core}.multiarray.scalar`, ([dtype, content]) => numpyScalar(dtype, content, damaged))
  for (const name of Object.keys(storageClasses)) allow(`torch.${name}`)

  return {
    name: (name) => names.get(name),
    persistent: (id) => {
      const storage = checkedStorage(id, damaged)
      const known = storages.get(storage.key)
      if (!known) storages.set(storage.key, storage)
      else if (known.dtype !== storage.dtype || known.count !== storage.count)
        throw damaged(`its storage ${shown(storage.key)} is said to be of two kinds`)
      return known ?? storage
    },
    build: (value, state) => {
      // The attributes of a state dict (`_metadata`: versions of layers) say nothing about its tensors.
      if (value instanceof Map) return true
      if (!(value instanceof NumpyDtype) || !Array.isArray(state)) return false
      value.littleEndian = state[1] !== '>'
      return true
    },
  }
}

/** ('storage', class, key, device, elements) and, in the legacy layout, the view, which is always the whole. */
function checkedStorage(id: Pickled, damaged: (why: string) => SemgenError): TorchStorage {
  const [what, kind, key, , count, view] = Array.isArray(id) ? id : []
  if (what !== 'storage' || !(kind instanceof PickledName) || typeof key !== 'string' || !isCount(count))
    throw damaged(`its pickle has the impossible storage ${shownBriefly(what)}`)
  if (view !== undefined && view !== null) throw damaged('a storage in it is a piece of another one')
  const dtype = storageClasses[kind.name.replace(/^torch\./, '')]
  if (!dtype) throw damaged(`its storage ${shown(key)} is of ${kind.name}`)
  return new TorchStorage(key, dtype, count)
}

function checkedTensor(
  storage: Pickled,
  offset: Pickled,
  shapeGiven: Pickled,
  stridesGiven: Pickled,
  damaged: (why: string) => SemgenError,
): TorchTensor {
  const fits =
    storage instanceof TorchStorage &&
    isCount(offset) &&
    Array.isArray(shapeGiven) &&
    Array.isArray(stridesGiven) &&
    shapeGiven.length === stridesGiven.length &&
    shapeGiven.length <= 16 &&
    shapeGiven.every(isCount) &&
    stridesGiven.every(isCount)
  if (!fits) throw damaged('it has a tensor of impossible shape, strides or storage')
  // The pickle may still append to its lists: what is checked is what is kept.
  const [shape, strides]: [number[], number[]] = [[...shapeGiven], [...stridesGiven]]
  const total = elements(shape)
  const last = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis]!, offset)
  // A tensor larger than its storage repeats elements: broadcasting, which no parameter does, and which bombs would use.
  if (total > storage.count || (total > 0 && last >= storage.count))
    throw damaged(
      `its tensor [${shape.join(', ')}] does not lie within its storage of ${storage.count} elements (${dtypeBytes[storage.dtype]} bytes each)`,
    )
  return new TorchTensor(storage, offset, shape, strides)
}

/** The value of numpy.float64(...) and its kin. */
function numpyScalar(dtype: Pickled, content: Pickled, damaged: (why: string) => SemgenError): number | boolean {
  if (!(dtype instanceof NumpyDtype) || !(content instanceof Uint8Array))
    throw damaged('it has a NumPy scalar without a type')
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const { code, littleEndian: little } = dtype
  if (Number(code.slice(1)) === content.length)
    switch (code) {
      case 'f8':
        return view.getFloat64(0, little)
      case 'f4':
        return view.getFloat32(0, little)
      case 'i8':
        return Number(view.getBigInt64(0, little))
      case 'i4':
        return view.getInt32(0, little)
      case 'u8':
        return Number(view.getBigUint64(0, little))
      case 'u4':
        return view.getUint32(0, little)
      case 'b1':
        return view.getUint8(0) !== 0
    }
  throw damaged(`it has a NumPy scalar of type ${shown(code)} in ${content.length} bytes`)
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isPairs = (value: unknown): boolean =>
  Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2)
