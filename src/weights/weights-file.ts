import type { Dtype } from './dtypes.js'
import type { StoredTensor } from './safetensors.js'

export type WeightsFormat = 'safetensors' | 'PyTorch' | 'PyTorch (legacy layout)' | 'Keras'

/** A file of weights held open, of whichever format: names and shapes are known, elements are read tensor by tensor. */
export interface WeightsFile {
  readonly path: string
  readonly format: WeightsFormat
  /** By key, in the file's order. */
  readonly entries: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>
  /** What the file says of itself. Text that is JSON is a value. */
  readonly metadata: Readonly<Record<string, string>>
  /** @throws SemgenError BAD_FILE when there is no such tensor or it is damaged, IO */
  read(key: string): Promise<StoredTensor>
  close(): Promise<void>
}
