import type { Engine } from '../src/engine/index.js'
import type { Extents } from '../src/extents.js'
import { type DecoderMode, Network, publishedYNet, TrainingStep } from '../src/nn/index.js'
import { Random } from '../src/random.js'
import { stateToWrite, type TensorToWrite, writeSafetensors } from '../src/weights/index.js'

/** A training step of the Y-Net as pre-training runs it, its inputs filled with noise. */
export function noisyStep(
  engine: Engine,
  options: {
    readonly batch: number
    readonly width: number
    readonly patch: Extents
    readonly decoder: DecoderMode
    /** 44 unless told. */
    readonly classes?: number
  },
): { network: Network; step: TrainingStep } {
  const { batch, width: baseWidth, patch, decoder } = options
  const shape = { ...publishedYNet(options.classes), baseWidth, patch }
  const network = new Network(engine, shape, 0)
  const step = new TrainingStep(network, {
    batch,
    restorationWeight: 1,
    classificationWeight: 0.01,
    decoder,
    optimizer: { kind: 'adam' },
  })
  const random = new Random(0, 'bench')
  step.input.write(noise(step.input.length, random))
  step.target.write(noise(step.target.length, random))
  step.labels.write(Int32Array.from({ length: batch }, () => random.integer(0, shape.classes)))
  return { network, step }
}

/** Writes the weights that a network has now, and a step's batch, for another program to begin with. */
export async function writeCase(path: string, network: Network, step: TrainingStep): Promise<void> {
  const tensors = new Map<string, TensorToWrite>()
  for (const [key, tensor] of stateToWrite(network)) tensors.set(`weights.${key}`, tensor)
  for (const name of ['input', 'target'] as const)
    tensors.set(name, { dtype: 'F32', shape: step[name].shape, data: () => step[name].read<Float32Array>() })
  tensors.set('labels', { dtype: 'I32', shape: step.labels.shape, data: () => step.labels.read<Int32Array>() })
  await writeSafetensors(path, tensors)
}

/** Uniform in [0, 1). */
export function noise(length: number, random: Random): Float32Array {
  return Float32Array.from({ length }, () => random.uniform())
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

/** "64x64x32" */
export const extentsFrom = (text: string): Extents => text.split('x').map(Number) as unknown as Extents
