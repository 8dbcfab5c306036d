import { programVersion } from '../../version.js'
import { Message } from './protobuf.js'

/** The version of ONNX's operators that is written: 17, which ONNX 1.12 (2022) and everything since reads. */
export const opset = 17
/** Of the file format: what came with that opset. */
const irVersion = 8

/** A tensor's extents: numbers, or names for what varies from run to run. */
export type Extents = readonly (number | string)[]

/** An ONNX graph under construction; field numbers are those of onnx.proto. */
export class OnnxModel {
  readonly #graph = new Message()
  #names = 0

  /** Adds an operation of one output. @returns the name of its output */
  node(
    operation: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, number | readonly number[]>> = {},
    output = `${operation.toLowerCase()}_${this.#names++}`,
  ): string {
    const node = new Message()
    for (const input of inputs) node.text(1, input)
    node.text(2, output).text(3, output).text(4, operation)
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value))
    this.#graph.message(1, node)
    return output
  }

  /** Adds a constant float32 tensor; scalars have no extents. @returns its name */
  constant(name: string, shape: readonly number[], data: Float32Array): string {
    const tensor = new Message().wholes(1, shape).whole(2, 1).text(8, name)
    tensor.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    this.#graph.message(5, tensor)
    return name
  }

  input(name: string, extents: Extents): string {
    this.#graph.message(11, valueInfo(name, extents))
    return name
  }

  output(name: string, extents: Extents): void {
    this.#graph.message(12, valueInfo(name, extents))
  }

  /** The whole file, in pieces, with texts that say how to use it. */
  file(name: string, description: string, metadata: Readonly<Record<string, string>>): Message {
    this.#graph.text(2, name)
    const model = new Message().whole(1, irVersion).text(2, 'semgen-native').text(3, programVersion())
    model.text(6, description).message(7, this.#graph).message(8, new Message().text(1, '').whole(2, opset))
    for (const [key, value] of Object.entries(metadata)) model.message(14, new Message().text(1, key).text(2, value))
    return model
  }
}

/** Numbers with a point are floats; here only epsilon is. */
function attribute(name: string, value: number | readonly number[]): Message {
  const message = new Message().text(1, name)
  if (typeof value !== 'number') {
    for (const one of value) message.whole(8, one)
    return message.whole(20, 7)
  }
  return Number.isInteger(value) ? message.whole(3, value).whole(20, 2) : message.float(2, value).whole(20, 1)
}

/** A float32 tensor's name and extents. */
function valueInfo(name: string, extents: Extents): Message {
  const shape = new Message()
  for (const extent of extents)
    shape.message(1, typeof extent === 'number' ? new Message().whole(1, extent) : new Message().text(2, extent))
  return new Message().text(1, name).message(2, new Message().message(1, new Message().whole(1, 1).message(2, shape)))
}
