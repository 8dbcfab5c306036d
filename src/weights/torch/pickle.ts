import { SemgenError, shown } from '../../errors.js'

/**
 * Reads pickles without running them: Python's stack language (PEP 307, PEP 3154; the opcodes of pickletools), cut down
 * to the ones that build plain values. Names of functions and classes are looked up in the caller's table alone; any
 * other ends the reading. Nothing of Python is called, imported or imitated beyond that table.
 */

/** None, bool, numbers, text, bytes, tuples and lists (arrays), dicts (Map), and what the caller's functions make. */
export type Pickled = unknown

/** A name that a pickle may mention. Without `call` it is only a name: the class of a storage. */
export class PickledName {
  readonly name: string
  readonly call: ((args: readonly Pickled[]) => Pickled) | undefined
  constructor(name: string, call?: (args: readonly Pickled[]) => Pickled) {
    this.name = name
    this.call = call
  }
}

/** What a pickle may ask of its surroundings. Each answers undefined to refuse. */
export interface PickleWorld {
  /** "collections.OrderedDict" */
  name(name: string): PickledName | undefined
  /** What stands for a persistent id. */
  persistent(id: Pickled): Pickled
  /** Gives attributes to a value that a function made; whether it may have them. */
  build(value: Pickled, state: Pickled): boolean
}

/**
 * Opcodes of one pickle, and elements of lists that its calls are given. A Y-Net's checkpoint with its optimizer takes
 * 12,000. Every opcode makes at most one small object but a call, which may copy its list, and a list may be given to
 * many calls: together they bound the memory and the time a hostile pickle can take.
 */
const budget = 1_000_000
const mark = Symbol('mark')
const text = new TextDecoder('utf-8', { fatal: true })

export class PickleReader {
  readonly #path: string
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #world: PickleWorld
  /** The next byte: several pickles may follow one another. */
  at: number

  /** What the pickle being read may still spend. */
  #left = budget
  #stack: Pickled[] = []
  #memo = new Map<number, Pickled>()

  constructor(path: string, bytes: Uint8Array, world: PickleWorld, at = 0) {
    this.#path = path
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#world = world
    this.at = at
  }

  /**
   * The next pickle's value.
   * @throws SemgenError BAD_FILE when it is cut short or no pickle, UNSUPPORTED when it asks for what is not a weight
   */
  next(): Pickled {
    this.#stack = []
    this.#memo = new Map()
    this.#left = budget
    for (;;) {
      this.#spend(1)
      const code = this.#byte()
      if (code === 0x2e) {
        if (this.#stack.length !== 1) throw this.#damaged('its pickle ends with other than one value')
        return this.#pop()
      }
      this.#run(code)
    }
  }

  #spend(count: number): void {
    this.#left -= count
    if (this.#left < 0)
      throw new SemgenError(
        'UNSUPPORTED',
        `${this.#path} was not read: its pickle has more than ${budget} instructions and elements, far more than weights take.`,
      )
  }

  #run(code: number): void {
    if (this.#constant(code) || this.#container(code) || this.#remember(code)) return
    const stack = this.#stack
    switch (code) {
      case 0x63: // GLOBAL
        stack.push(this.#named(`${this.#line()}.${this.#line()}`))
        return
      case 0x93: {
        // STACK_GLOBAL
        const name = this.#pop()
        const module = this.#pop()
        // Anything else is not written out: a list that holds one list twice, and so on, is endless as text.
        if (typeof module !== 'string' || typeof name !== 'string')
          throw this.#damaged('its pickle names a function by what is no text')
        stack.push(this.#named(`${module}.${name}`))
        return
      }
      case 0x52: {
        // REDUCE
        const args = this.#pop()
        const callee = this.#pop()
        if (!(callee instanceof PickledName) || !Array.isArray(args))
          throw this.#damaged('its pickle calls what is no function')
        if (!callee.call) throw this.#refused(`a call of ${callee.name}`)
        if (Array.isArray(args[0])) this.#spend(args[0].length)
        stack.push(callee.call(args))
        return
      }
      case 0x62: {
        // BUILD
        const state = this.#pop()
        if (!this.#world.build(stack.at(-1), state)) throw this.#refused('attributes of an object')
        return
      }
      case 0x51: // BINPERSID
        stack.push(this.#world.persistent(this.#pop()))
        return
    }
    // Opcodes of old text pickles, of classes and of Python's extension registry: torch.save writes none for weights.
    throw this.#refused(`the instruction 0x${code.toString(16).padStart(2, '0')} at byte ${this.at - 1}`)
  }

  /** Values that stand in the pickle itself. */
  #constant(code: number): boolean {
    const stack = this.#stack
    switch (code) {
      case 0x80: // PROTO
        if (this.#byte() > 5) throw this.#damaged('its pickle is of a protocol above 5')
        return true
      case 0x95: // FRAME: only a hint for readers that read ahead
        this.#length(8)
        return true
      case 0x4e: // NONE
        stack.push(null)
        return true
      case 0x88: // NEWTRUE
        stack.push(true)
        return true
      case 0x89: // NEWFALSE
        stack.push(false)
        return true
      case 0x4b: // BININT1
        stack.push(this.#byte())
        return true
      case 0x4d: // BININT2
        stack.push(this.#length(2))
        return true
      case 0x4a: // BININT
        stack.push(this.#view.getInt32(this.#skip(4), true))
        return true
      case 0x8a: // LONG1
        stack.push(this.#long(this.#byte()))
        return true
      case 0x47: // BINFLOAT
        stack.push(this.#view.getFloat64(this.#skip(8), false))
        return true
      case 0x58: // BINUNICODE
        stack.push(this.#text(this.#length(4)))
        return true
      case 0x8c: // SHORT_BINUNICODE
        stack.push(this.#text(this.#byte()))
        return true
      case 0x8d: // BINUNICODE8
        stack.push(this.#text(this.#length(8)))
        return true
      case 0x54: // BINSTRING: Python 2
        stack.push(latin1(this.#take(this.#length(4))))
        return true
      case 0x55: // SHORT_BINSTRING
        stack.push(latin1(this.#take(this.#byte())))
        return true
      case 0x42: // BINBYTES
        stack.push(this.#take(this.#length(4)))
        return true
      case 0x43: // SHORT_BINBYTES
        stack.push(this.#take(this.#byte()))
        return true
    }
    return false
  }

  #container(code: number): boolean {
    const stack = this.#stack
    switch (code) {
      case 0x28: // MARK
        stack.push(mark)
        return true
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([])
        return true
      case 0x7d: // EMPTY_DICT
        stack.push(new Map())
        return true
      case 0x74: // TUPLE
        stack.push(this.#popToMark())
        return true
      case 0x85: // TUPLE1, 2, 3
      case 0x86:
      case 0x87: {
        const values = Array.from({ length: code - 0x84 }, () => this.#pop())
        stack.push(values.reverse())
        return true
      }
      case 0x61: {
        // APPEND
        const value = this.#pop()
        this.#list().push(value)
        return true
      }
      case 0x65: {
        // APPENDS
        const values = this.#popToMark()
        const list = this.#list()
        for (const value of values) list.push(value)
        return true
      }
      case 0x73: {
        // SETITEM
        const value = this.#pop()
        const key = this.#pop()
        this.#dict().set(key, value)
        return true
      }
      case 0x75: {
        // SETITEMS
        const values = this.#popToMark()
        if (values.length % 2 !== 0) throw this.#damaged('a dict of its pickle has a key without a value')
        const dict = this.#dict()
        for (let i = 0; i < values.length; i += 2) dict.set(values[i], values[i + 1])
        return true
      }
    }
    return false
  }

  #remember(code: number): boolean {
    switch (code) {
      case 0x71: // BINPUT
        this.#put(this.#byte())
        return true
      case 0x72: // LONG_BINPUT
        this.#put(this.#length(4))
        return true
      case 0x94: // MEMOIZE
        this.#put(this.#memo.size)
        return true
      case 0x68: // BINGET
        this.#stack.push(this.#get(this.#byte()))
        return true
      case 0x6a: // LONG_BINGET
        this.#stack.push(this.#get(this.#length(4)))
        return true
    }
    return false
  }

  #put(place: number): void {
    const value = this.#stack.at(-1)
    if (value === undefined || value === mark) throw this.#damaged('its pickle remembers what is not there')
    this.#memo.set(place, value)
  }

  #get(place: number): Pickled {
    const value = this.#memo.get(place)
    if (value === undefined) throw this.#damaged('its pickle recalls what it never had')
    return value
  }

  #pop(): Pickled {
    const value = this.#stack.pop()
    if (value === undefined || value === mark) throw this.#damaged('its pickle takes what is not there')
    return value
  }

  #popToMark(): Pickled[] {
    const place = this.#stack.lastIndexOf(mark)
    if (place < 0) throw this.#damaged('its pickle ends a group that never began')
    const values = this.#stack.splice(place)
    values.shift()
    return values
  }

  #list(): Pickled[] {
    const list = this.#stack.at(-1)
    if (!Array.isArray(list)) throw this.#damaged('its pickle appends to what is no list')
    return list
  }

  #dict(): Map<Pickled, Pickled> {
    const dict = this.#stack.at(-1)
    if (!(dict instanceof Map)) throw this.#damaged('its pickle sets an item of what is no dict')
    return dict
  }

  #named(name: string): PickledName {
    const known = this.#world.name(name)
    if (!known) throw this.#refused(name)
    return known
  }

  #byte(): number {
    return this.#bytes[this.#skip(1)]!
  }

  #length(bytes: 2 | 4 | 8): number {
    const place = this.#skip(bytes)
    if (bytes === 2) return this.#view.getUint16(place, true)
    if (bytes === 4) return this.#view.getUint32(place, true)
    return Number(this.#view.getBigUint64(place, true))
  }

  /** Two's complement, little-endian: a number where it is exact, else a bigint. */
  #long(bytes: number): number | bigint {
    let value = 0n
    for (const [i, byte] of this.#take(bytes).entries()) value |= BigInt(byte) << BigInt(8 * i)
    value = BigInt.asIntN(8 * bytes, value)
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value
  }

  #text(bytes: number): string {
    const raw = this.#take(bytes)
    try {
      return text.decode(raw)
    } catch {
      throw this.#damaged('a text in its pickle is not UTF-8')
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at)
    if (end < 0) throw this.#damaged('it is cut short within its pickle')
    const line = latin1(this.#take(end - this.at))
    this.at++
    return line
  }

  #take(bytes: number): Uint8Array {
    const start = this.#skip(bytes)
    return this.#bytes.subarray(start, start + bytes)
  }

  #skip(bytes: number): number {
    const start = this.at
    if (start + bytes > this.#bytes.length) throw this.#damaged('it is cut short within its pickle')
    this.at += bytes
    return start
  }

  #damaged(why: string): SemgenError {
    return new SemgenError('BAD_FILE', `${this.#path} is no readable PyTorch file: ${why}.`)
  }

  #refused(what: string): SemgenError {
    return new SemgenError(
      'UNSUPPORTED',
      `${this.#path} was refused: its pickle asks for ${shown(what).slice(1, -1)}, and only tensors, dicts, lists, numbers and texts are read, so that a file of weights can run no code; save its state_dict() alone.`,
    )
  }
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
