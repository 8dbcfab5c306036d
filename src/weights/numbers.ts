import type { Dtype } from './dtypes.js'
import type { StoredTensor } from './safetensors.js'

const floats: ReadonlySet<Dtype> = new Set(['F64', 'F32', 'F16', 'BF16'])

/** Whether the elements are floating-point numbers. */
export const isFloat = (dtype: Dtype): boolean => floats.has(dtype)

/** A tensor's elements as float32: halves exactly, doubles rounded, integers as far as float32 holds them. */
export function asFloat32({ dtype, data }: StoredTensor): Float32Array {
  if (data instanceof Float32Array) return data
  if (dtype === 'F16') return Float32Array.from(data as Uint16Array, fromHalf)
  if (dtype === 'BF16') {
    const bits = Uint32Array.from(data as Uint16Array, (half) => half << 16)
    return new Float32Array(bits.buffer)
  }
  return Float32Array.from(data as ArrayLike<number | bigint>, Number)
}

/** IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** A tensor's elements as JavaScript's numbers: doubles as they are, the others exactly but for integers past 2^53. */
export function asNumbers(tensor: StoredTensor): ArrayLike<number> {
  if (isFloat(tensor.dtype)) return tensor.data instanceof Float64Array ? tensor.data : asFloat32(tensor)
  return Float64Array.from(tensor.data as ArrayLike<number | bigint>, Number)
}
