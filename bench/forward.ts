/**
 * The forward pass of a file of weights: what bench/published_weights.py compares with PyTorch.
 *
 *   node dist/bench/forward.js WEIGHTS INPUT OUTPUT XxYxZ [cpu|cuda|sim]
 *
 * INPUT holds float32 cubes [N, 1, X, Y, Z]; OUTPUT gets the restored cubes of the same shape, after the sigmoid, and
 * then the logits [N, classes].
 */
import { readFileSync } from 'node:fs'
import { type Device, openEngine } from '../src/engine/index.js'
import { writeAtomically } from '../src/files.js'
import { EvaluationStep, Network } from '../src/nn/index.js'
import { readNetwork } from '../src/weights/index.js'
import { extentsFrom } from './training-step.js'

const [weights, input, output, extents, device = 'cpu'] = process.argv.slice(2)
if (!weights || !input || !output || !extents) throw new Error('forward.js WEIGHTS INPUT OUTPUT XxYxZ [DEVICE]')
const patch = extentsFrom(extents)
const bytes = readFileSync(input)
const cubes = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
const batch = cubes.length / patch.reduce((product, extent) => product * extent, 1)
const { shape, values } = await readNetwork(weights)
const engine = openEngine({ device: device as Device, threads: 2 })
const network = new Network(engine, { ...shape, patch }, 0)
network.load(values)
const step = new EvaluationStep(network, { batch, restorationWeight: 1, classificationWeight: 1 })
step.input.write(cubes)
await step.run()
const results = [step.output!.read<Float32Array>(), step.logits!.read<Float32Array>()]
await writeAtomically(
  output,
  results.map((result) => new Uint8Array(result.buffer, result.byteOffset, result.byteLength)),
)
