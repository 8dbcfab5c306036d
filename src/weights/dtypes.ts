/** Element types of the safetensors format, with their bytes an element. */
export const dtypeBytes = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const

export type Dtype = keyof typeof dtypeBytes

/** Elements as they lie in the file. F16 and BF16 are their bit patterns; BOOL is 0 or 1. */
export type TensorData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array

const arrays = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const

export const isDtype = (name: unknown): name is Dtype => typeof name === 'string' && Object.hasOwn(dtypeBytes, name)

/** The typed array over all of `buffer` that holds elements of `dtype`. */
export function viewAs(dtype: Dtype, buffer: ArrayBuffer): TensorData {
  return new arrays[dtype](buffer)
}

/** Whether `data` is the kind of array that holds `dtype`. */
export function holds(dtype: Dtype, data: TensorData): boolean {
  return data instanceof arrays[dtype]
}
