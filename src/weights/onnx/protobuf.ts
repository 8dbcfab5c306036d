/**
 * Messages of Protocol Buffers (wire types 0, 2 and 5), written field by field. Contents are kept as they are given, so a
 * model is not copied while it grows.
 */
export class Message {
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  get size(): number {
    return this.#bytes
  }

  /** The encoded message, in pieces. */
  parts(): readonly Uint8Array[] {
    return this.#parts
  }

  /** int32, int64, enum: not negative. */
  whole(field: number, value: number): this {
    return this.#push(varint(field * 8), varint(value))
  }

  /** float */
  float(field: number, value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatLE(value)
    return this.#push(varint(field * 8 + 5), bytes)
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'))
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#push(varint(field * 8 + 2), varint(value.length), value)
  }

  message(field: number, value: Message): this {
    return this.#push(varint(field * 8 + 2), varint(value.size), ...value.#parts)
  }

  /** repeated int64, packed */
  wholes(field: number, values: readonly number[]): this {
    return this.bytes(field, Buffer.concat(values.map(varint)))
  }

  #push(...parts: Uint8Array[]): this {
    for (const part of parts) {
      this.#parts.push(part)
      this.#bytes += part.length
    }
    return this
  }
}

/** Seven bits a byte, lowest first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Uint8Array.of(...bytes, rest)
}
