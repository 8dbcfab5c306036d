/** Writes pickles of protocol 2: texts, small numbers, dicts, and calls of the few names that weights need. */
export class PickleWriter {
  readonly #parts: Buffer[] = [Buffer.of(0x80, 2)]

  text(value: string): this {
    const bytes = Buffer.from(value, 'utf8')
    const head = Buffer.alloc(5)
    head.writeUInt8(0x58)
    head.writeUInt32LE(bytes.length, 1)
    return this.#push(head, bytes)
  }

  /** A whole number from 0 to 2^63 - 1. */
  whole(value: number): this {
    if (value < 256) return this.#push(Buffer.of(0x4b, value))
    if (value < 2 ** 31) {
      const bytes = Buffer.alloc(5)
      bytes.writeUInt8(0x4a)
      bytes.writeInt32LE(value, 1)
      return this.#push(bytes)
    }
    const bytes = Buffer.alloc(10)
    bytes.writeUInt16BE(0x8a08)
    bytes.writeBigInt64LE(BigInt(value), 2)
    return this.#push(bytes)
  }

  no(): this {
    return this.#push(Buffer.of(0x89))
  }

  tuple(write: () => void): this {
    this.#push(Buffer.of(0x28))
    write()
    return this.#push(Buffer.of(0x74))
  }

  /** A class or function: "torch", "FloatStorage". */
  name(module: string, name: string): this {
    return this.#push(Buffer.from(`c${module}\n${name}\n`, 'latin1'))
  }

  /** Applies the name before to a tuple. */
  call(args: () => void): this {
    return this.tuple(args).#push(Buffer.of(0x52))
  }

  emptyDict(): this {
    return this.#push(Buffer.of(0x7d))
  }

  orderedDict(): this {
    return this.name('collections', 'OrderedDict').call(() => {})
  }

  /** Puts keys and values, written one after another, into the dict before. */
  items(write: () => void): this {
    this.#push(Buffer.of(0x28))
    write()
    return this.#push(Buffer.of(0x75))
  }

  /** What the tuple before stands for. */
  persistent(): this {
    return this.#push(Buffer.of(0x51))
  }

  bytes(): Uint8Array {
    return Buffer.concat([...this.#parts, Buffer.of(0x2e)])
  }

  #push(...parts: Buffer[]): this {
    this.#parts.push(...parts)
    return this
  }
}
