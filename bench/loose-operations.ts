import type { Engine, Program, Tensor, TensorId } from '../src/engine/index.js'
import type { Extents } from '../src/extents.js'
import { Random } from '../src/random.js'
import { noise } from './training-step.js'

/** Records the operations of the contract that a pre-training step of the Y-Net has no use for, at its sizes. */
export function recordLooseOperations(engine: Engine, program: Program, [x, y, z]: Extents, width: number): void {
  const random = new Random(0, 'bench/loose')
  const tensor = (shape: readonly number[]): Tensor => {
    const made = engine.tensor(shape)
    return made.fill(noise(made.length, random))
  }
  const parameter = (...shape: number[]): TensorId => program.bind(tensor(shape))
  const scalar = () => program.bind(engine.tensor([1]))
  const inputOf = (...shape: number[]): TensorId => {
    const input = program.activation(shape)
    program.record('cast', { x: parameter(...shape) }, { y: input })
    return input
  }
  const like = (...shape: number[]): TensorId => program.activation(shape)
  const full = [1, x, y, z, width] as const
  const half = [1, x / 2, y / 2, z / 2, width] as const
  const [activation, halved] = [inputOf(...full), inputOf(...half)]

  const window = { kernel: [2, 2, 2], stride: [2, 2, 2] }
  program.record('avg_pool', { x: activation }, { y: like(...half) }, window)
  program.record('avg_pool_grad', { dy: halved }, { dx: like(...full) }, window)
  for (const method of ['nearest', 'linear']) {
    program.record('resize', { x: halved }, { y: like(...full) }, { method })
    program.record('resize_grad', { dy: activation }, { dx: like(...half) }, { method })
  }
  const doubling = { stride: [2, 2, 2], padding: [0, 0, 0] }
  const weight = parameter(width, width, 2, 2, 2)
  const gradients = { dweight: parameter(width, width, 2, 2, 2), dbias: parameter(width) }
  program.record('conv_transpose3d', { x: halved, weight, bias: parameter(width) }, { y: like(...full) }, doubling)
  program.record(
    'conv_transpose3d_grad',
    { x: halved, weight, dy: activation },
    { dx: like(...half), ...gradients },
    doubling,
  )
  const sigmoid = like(...full)
  program.record('sigmoid', { x: activation }, { y: sigmoid })
  program.record('sigmoid_grad', { y: sigmoid, dy: activation }, { dx: like(...full) })
  program.record('add', { a: activation, b: sigmoid }, { y: like(...full) })

  const [restored, target] = [inputOf(1, x, y, z, 1), inputOf(1, x, y, z, 1)]
  const dlogits = () => like(1, x, y, z, 1)
  program.record('mse', { x: restored, target }, { loss: scalar(), dx: dlogits() }, { weight: 1 })
  program.record('bce_with_logits', { logits: restored, target }, { loss: scalar(), dlogits: dlogits() }, { weight: 1 })
  program.record('dice', { logits: restored, target }, { loss: scalar(), dlogits: dlogits() }, { weight: 1, smooth: 1 })

  const masters = [parameter(16 * width, 8 * width, 3, 3, 3)]
  program.record(
    'sgd',
    {
      parameters: masters,
      gradients: [parameter(16 * width, 8 * width, 3, 3, 3)],
      hyper: program.bind(engine.tensor([3]).fill(Float32Array.of(1e-3, 0.9, 0))),
    },
    { velocities: [parameter(16 * width, 8 * width, 3, 3, 3)], norm: program.bind(engine.tensor([2])) },
  )
  // A thousand patients' latent vectors.
  program.record(
    'nearest',
    { queries: parameter(1000, 16 * width), points: parameter(1000, 16 * width) },
    { indices: program.bind(engine.tensor([1000, 200], 'i32')), distances: program.bind(engine.tensor([1000, 200])) },
  )
}
