import { SemgenError } from '../../errors.js'
import { writeAtomically } from '../../files.js'
import { type Dtype, dtypeBytes } from '../dtypes.js'
import { elements, type StoredTensor } from '../safetensors.js'
import { PickleWriter } from './pickle-writer.js'
import { storageClasses } from './values.js'
import { type MemberToWrite, zipBytes } from './zip-writer.js'

/**
 * Writes what `torch.load(path)["state_dict"]` gives to `load_state_dict`: a checkpoint in PyTorch's zip layout, with
 * the record of how to use the weights as a dict of texts under "usage". It also loads with weights_only=True.
 * @throws SemgenError UNSUPPORTED for a type that PyTorch has not or 4 GiB and more, IO
 */
export async function writeTorch(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  usage: Readonly<Record<string, string>>,
): Promise<void> {
  const classes = new Map(Object.entries(storageClasses).map(([name, dtype]) => [dtype, name]))
  const pickle = new PickleWriter()
  pickle.emptyDict().items(() => {
    pickle
      .text('state_dict')
      .orderedDict()
      .items(() => {
        let index = 0
        for (const [key, tensor] of tensors) {
          pickle.text(key)
          writeTensor(pickle, tensor, String(index++), storageClass(path, key, tensor.dtype, classes))
        }
      })
    pickle
      .text('usage')
      .emptyDict()
      .items(() => {
        for (const [key, value] of Object.entries(usage)) pickle.text(key).text(value)
      })
  })
  const member = (name: string, content: Uint8Array): MemberToWrite => ({
    name: `archive/${name}`,
    bytes: content.length,
    content: () => content,
  })
  const storages = [...tensors.values()].map(({ data }, index) =>
    member(`data/${index}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  )
  const members = [member('data.pkl', pickle.bytes()), ...storages, member('version', Buffer.from('3\n'))]
  await writeAtomically(path, zipBytes(path, members))
}

/** _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks) */
function writeTensor(pickle: PickleWriter, { shape, dtype, data }: StoredTensor, key: string, kind: string): void {
  const count = data.byteLength / dtypeBytes[dtype]
  pickle.name('torch._utils', '_rebuild_tensor_v2').call(() => {
    pickle.tuple(() => pickle.text('storage').name('torch', kind).text(key).text('cpu').whole(count)).persistent()
    pickle.whole(0)
    for (const numbers of [shape, shape.map((_, axis) => elements(shape.slice(axis + 1)))])
      pickle.tuple(() => {
        for (const number of numbers) pickle.whole(number)
      })
    pickle.no().orderedDict()
  })
}

function storageClass(path: string, key: string, dtype: Dtype, classes: ReadonlyMap<Dtype, string>): string {
  const name = classes.get(dtype)
  if (!name)
    throw new SemgenError('UNSUPPORTED', `${path} was not written: ${key} is ${dtype}, which PyTorch's files have not.`)
  return name
}
