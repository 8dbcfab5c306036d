import { describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine/index.js'
import { Random } from '../../src/random.js'
import {
  bfloat16,
  type Call,
  count,
  engines,
  integers,
  kept,
  type Plain,
  passedThrough,
  poison,
  relativeError,
  runCalls,
  uniform,
} from './harness.js'
import { conv3dGrad } from './reference.js'
import { countCorrect, crossEntropy, differences, losses } from './reference-losses.js'

const weight = 0.375

/** Logits of a few units, where sigmoid and softmax bend. */
function logitsOf(shape: readonly number[]): Plain {
  return { shape, data: uniform(shape, 1).data.map((value) => 5 * value) as Float32Array }
}

/** 0 to 1. */
function targetOf(shape: readonly number[]): Plain {
  return { shape, data: uniform(shape, 2).data.map((value) => (value + 1) / 2) as Float32Array }
}

function labelsOf(shape: readonly number[], classes: number): Plain {
  const random = new Random(3, 'test/labels')
  return { shape, data: Int32Array.from({ length: count(shape) }, () => random.integer(0, classes)) }
}

/** All elements of small tensors, and some of large ones, the first and the last among them. */
function samples(elements: number): number[] {
  const random = new Random(4, 'test/samples')
  if (elements <= 60) return Array.from({ length: elements }, (_, i) => i)
  return [0, elements - 1, ...Array.from({ length: 20 }, () => random.integer(0, elements))]
}

function attributesOf(operation: string) {
  return operation === 'dice' ? { weight, smooth: 1 } : { weight }
}

const inputRole = (operation: string) => (operation === 'mse' ? 'x' : 'logits')
const gradientRole = (operation: string) => (operation === 'mse' ? 'dx' : 'dlogits')

/** Roundings of float32: a value is right to some 10^-7, a gradient too, relative to the largest. */
const tolerance = 2e-6

const shapes = [
  { name: 'rows', shape: [5, 7] },
  { name: 'one channel', shape: [2, 4, 3, 5, 1] },
  { name: 'uneven channels', shape: [2, 3, 5, 7, 5] },
  { name: '16 channels', shape: [1, 4, 4, 4, 16] },
]

describe.each(engines())('on $device', (engine) => {
  describe.each(Object.keys(losses))('%s', (operation) => {
    const [input, gradient] = [inputRole(operation), gradientRole(operation)]
    const loss = losses[operation]!

    test.each(shapes)('value, and gradient by finite differences: $name', async ({ shape }) => {
      const [x, target] = [logitsOf(shape), targetOf(shape)]
      const results = await runCalls(engine, [
        {
          operation,
          inputs: { [input]: x, target },
          outputs: { loss: [1], [gradient]: shape },
          attributes: attributesOf(operation),
        },
      ])
      const expected = weight * loss(x.data, target.data)
      expect(relativeError(results.loss!.data, [expected])).toBeLessThan(tolerance)
      const at = samples(x.data.length)
      const slopes = differences((values) => weight * loss(values, target.data), x.data, at)
      const found = at.map((i) => results[gradient]!.data[i]!)
      expect(relativeError(found, slopes)).toBeLessThan(tolerance)
    })

    test('the value alone', async () => {
      const [x, target] = [logitsOf([3, 4]), targetOf([3, 4])]
      const inputs = { [input]: x, target }
      const call = { operation, inputs, outputs: { loss: [1] }, attributes: attributesOf(operation) }
      const results = await runCalls(engine, [call])
      expect(relativeError(results.loss!.data, [weight * loss(x.data, target.data)])).toBeLessThan(tolerance)
    })

    test('a target of integers is refused', async () => {
      const target = { shape: [3, 4], data: new Int32Array(12) }
      const inputs = { [input]: logitsOf([3, 4]), target }
      const call = { operation, inputs, outputs: { loss: [1] }, attributes: attributesOf(operation) }
      await expect(runCalls(engine, [call])).rejects.toMatchObject({ code: 'NATIVE' })
    })

    test.each([{ channels: 1 }, { channels: 5 }])(
      'after a convolution, and back through it: $channels channels',
      async ({ channels }) => {
        const shape = [2, 6, 5, 4, channels]
        const [x, target] = [logitsOf(shape), targetOf(shape)]
        const kernel = integers([channels, 6, 3, 3, 3], 5)
        const inner = uniform([...shape.slice(0, 4), 6], 6)
        const same = { stride: [1, 1, 1], padding: [1, 1, 1] }
        const results = await runCalls(engine, [
          poison(1 << 16),
          passedThrough(x, shape, 'inner'),
          {
            operation,
            inputs: { [input]: 'inner', target },
            outputs: { loss: [1], [gradient]: { name: 'slope', shape } },
            attributes: attributesOf(operation),
          },
          {
            operation: 'conv3d_grad',
            inputs: { x: { ...inner, name: 'beneath' }, weight: kernel, dy: 'slope' },
            outputs: { dx: { name: 'back', shape: inner.shape, kept: true }, dweight: kernel.shape },
            attributes: same,
          },
          kept('slope', shape, 'kept slope'),
        ])
        expect(relativeError(results.loss!.data, [weight * loss(x.data, target.data)])).toBeLessThan(tolerance)
        const slope = results['kept slope']!
        const at = samples(x.data.length)
        const slopes = differences((values) => weight * loss(values, target.data), x.data, at)
        expect(
          relativeError(
            at.map((i) => slope.data[i]!),
            slopes,
          ),
        ).toBeLessThan(tolerance)
        const back = conv3dGrad(inner, undefined, kernel, slope, same.stride, same.padding)
        expect(relativeError(results.back!.data, back.dx!.data)).toBeLessThan(tolerance)
        expect(relativeError(results.dweight!.data, back.dweight!.data)).toBeLessThan(tolerance)
      },
    )
  })

  test('extreme logits give finite losses and gradients', async () => {
    const x = { shape: [1, 4], data: Float32Array.of(-200, 200, -200, 200) }
    const target = { shape: [1, 4], data: Float32Array.of(0, 1, 1, 0) }
    for (const operation of ['sigmoid_mse', 'bce_with_logits', 'dice']) {
      const results = await runCalls(engine, [
        {
          operation,
          inputs: { logits: x, target },
          outputs: { loss: [1], dlogits: [1, 4] },
          attributes: attributesOf(operation),
        },
      ])
      expect(results.loss!.data[0]).toBeCloseTo(weight * losses[operation]!(x.data, target.data), 5)
      expect(results.dlogits!.data.every(Number.isFinite)).toBe(true)
    }
  })

  test('sigmoid_mse gives back the sigmoid, dense or as an activation', async () => {
    const shape = [2, 4, 3, 5, 5]
    const [x, target] = [logitsOf(shape), targetOf(shape)]
    const call = { operation: 'sigmoid_mse', attributes: { weight } }
    const results = await runCalls(engine, [
      poison(1 << 16),
      passedThrough(x, shape, 'inner'),
      { ...call, inputs: { logits: 'inner', target }, outputs: { loss: [1], output: shape } },
      { ...call, inputs: { logits: 'inner', target }, outputs: { loss: [1], output: { name: 'restored', shape } } },
      kept('restored', shape, 'kept'),
    ])
    const expected = x.data.map((value) => 1 / (1 + Math.exp(-value)))
    expect(relativeError(results.output!.data, expected)).toBeLessThan(3e-7)
    expect(results.kept!.data).toEqual(results.output!.data)
  })

  test('mse between two activations of different layouts', async () => {
    const shape = [2, 4, 3, 5, 5]
    const [x, target] = [uniform(shape, 1), uniform(shape, 2)]
    const results = await runCalls(engine, [
      passedThrough(target, shape, 'other'),
      { operation: 'mse', inputs: { x, target: 'other' }, outputs: { loss: [1] }, attributes: { weight: 1 } },
    ])
    expect(relativeError(results.loss!.data, [losses.mse!(x.data, target.data)])).toBeLessThan(tolerance)
  })

  describe('softmax_cross_entropy', () => {
    const operation = 'softmax_cross_entropy'

    test.each([
      { name: 'the head', shape: [4, 44] },
      { name: 'one class', shape: [3, 1] },
      { name: 'more classes than a piece of work has elements', shape: [2, 5000] },
      { name: 'voxels of three classes', shape: [2, 3, 5, 4, 3] },
      { name: 'voxels of 16 classes', shape: [1, 4, 4, 4, 16] },
    ])('value, hits, and gradient by finite differences: $name', async ({ shape }) => {
      const classes = shape.at(-1)!
      const x = logitsOf(shape)
      const labels = labelsOf(shape.slice(0, -1), classes)
      const loss = (values: ArrayLike<number>) => weight * crossEntropy(values, labels.data, classes)
      const voxels = shape.length === 5
      const results = await runCalls(engine, [
        ...(voxels ? [poison(1 << 16), passedThrough(x, shape, 'inner')] : []),
        {
          operation,
          inputs: { logits: voxels ? 'inner' : x, labels },
          outputs: { loss: [1], correct: [1], dlogits: voxels ? { name: 'slope', shape } : shape },
          attributes: { weight },
        },
        ...(voxels ? [kept('slope', shape, 'dlogits')] : []),
      ])
      // One class leaves no doubt: a loss of 0.
      expect(Math.abs(results.loss!.data[0]! - loss(x.data))).toBeLessThanOrEqual(tolerance * loss(x.data))
      expect(results.correct!.data[0]).toBe(countCorrect(x.data, labels.data, classes))
      const at = samples(x.data.length)
      const slopes = differences(loss, x.data, at)
      expect(
        relativeError(
          at.map((i) => results.dlogits!.data[i]!),
          slopes,
        ),
      ).toBeLessThan(tolerance)
    })

    test('of equal logits, the first is on top', async () => {
      const logits = { shape: [2, 3], data: Float32Array.of(1, 1, 0, 0, 2, 2) }
      const inputs = { logits, labels: { shape: [2], data: Int32Array.of(1, 1) } }
      const results = await runCalls(engine, [
        { operation, inputs, outputs: { loss: [1], correct: [1] }, attributes: { weight } },
      ])
      expect(results.correct!.data[0]).toBe(1)
    })

    test('large logits do not overflow', async () => {
      const logits = { shape: [2, 2], data: Float32Array.of(1000, -1000, 1000, -1000) }
      const inputs = { logits, labels: { shape: [2], data: Int32Array.of(0, 1) } }
      const results = await runCalls(engine, [
        { operation, inputs, outputs: { loss: [1], dlogits: [2, 2] }, attributes: { weight: 1 } },
      ])
      expect(results.loss!.data[0]).toBe(1000)
      expect([...results.dlogits!.data]).toEqual([0, 0, 0.5, -0.5])
    })

    test('a label that names no class is an error that says which', async () => {
      const inputs = { logits: logitsOf([3, 4]), labels: { shape: [3], data: Int32Array.of(1, 4, -1) } }
      const call = { operation, inputs, outputs: { loss: [1] }, attributes: { weight } }
      await expect(runCalls(engine, [call])).rejects.toThrow(/Label 4 at position 1 names none of 4 classes/)
    })
  })

  test('the real last layer: 64 channels to one, restored and lost, at full size', async () => {
    const shape = [2, 64, 64, 32, 1]
    const beneath = { ...uniform([...shape.slice(0, 4), 64], 7), name: 'beneath' }
    const kernel = uniform([1, 64, 1, 1, 1], 8)
    const target = targetOf(shape)
    const pointwise = { stride: [1, 1, 1], padding: [0, 0, 0] }
    const results = await runCalls(engine, [
      {
        operation: 'conv3d',
        inputs: { x: beneath, weight: kernel },
        outputs: { y: { name: 'logits', shape } },
        attributes: pointwise,
      },
      kept('logits', shape, 'kept logits'),
      {
        operation: 'sigmoid_mse',
        inputs: { logits: 'logits', target },
        outputs: { loss: [1], dlogits: { name: 'slope', shape } },
        attributes: { weight },
      },
      kept('slope', shape, 'kept slope'),
      {
        operation: 'conv3d_grad',
        inputs: { x: beneath, weight: kernel, dy: 'slope' },
        outputs: { dweight: kernel.shape },
        attributes: pointwise,
      },
    ])
    const logits = results['kept logits']!.data
    expect(relativeError(results.loss!.data, [weight * losses.sigmoid_mse!(logits, target.data)])).toBeLessThan(
      tolerance,
    )
    const scale = (2 * weight) / logits.length
    const slope = Float64Array.from(logits, (logit, i) => {
      const p = 1 / (1 + Math.exp(-logit))
      return scale * (p - target.data[i]!) * p * (1 - p)
    })
    expect(relativeError(results['kept slope']!.data, slope)).toBeLessThan(tolerance)
    const dweight = new Float64Array(64)
    for (let i = 0; i < beneath.data.length; i++) dweight[i % 64]! += beneath.data[i]! * slope[i >> 6]!
    // float32 sums of 262144 products by oneDNN.
    expect(relativeError(results.dweight!.data, dweight)).toBeLessThan(1e-4)
  })
})

describe('any number of threads', () => {
  test.each([...Object.keys(losses), 'softmax_cross_entropy'])('gives the same bits: %s', async (operation) => {
    const shape = [2, 15, 16, 17, 5]
    const target = operation === 'softmax_cross_entropy' ? labelsOf(shape.slice(0, 4), 5) : targetOf(shape)
    const call: Call = {
      operation,
      inputs: { [inputRole(operation)]: logitsOf(shape), [target.shape.length === 4 ? 'labels' : 'target']: target },
      outputs: { loss: [1], [gradientRole(operation)]: shape },
      attributes: attributesOf(operation),
    }
    const [one, two] = await Promise.all(
      [1, 2].map((threads) => runCalls(openEngine({ device: 'cpu', threads }), [call])),
    )
    expect(one).toEqual(two)
  })
})

describe.each(engines('bf16'))('in bfloat16, on $device', (engine) => {
  test.each([...Object.keys(losses), 'softmax_cross_entropy'])(
    '%s is exact up to the rounding of its logits and gradient',
    async (operation) => {
      const shape = [2, 6, 5, 4, 3]
      const x = bfloat16(logitsOf(shape))
      const entropy = operation === 'softmax_cross_entropy'
      const target = entropy ? labelsOf(shape.slice(0, 4), 3) : targetOf(shape)
      const results = await runCalls(engine, [
        poison(1 << 16),
        passedThrough(x, shape, 'inner'),
        {
          operation,
          inputs: { [inputRole(operation)]: 'inner', [entropy ? 'labels' : 'target']: target },
          outputs: { loss: [1], [gradientRole(operation)]: { name: 'slope', shape } },
          attributes: attributesOf(operation),
        },
        kept('slope', shape, 'kept slope'),
      ])
      const loss = (values: ArrayLike<number>) =>
        weight * (entropy ? crossEntropy(values, target.data, 3) : losses[operation]!(values, target.data))
      expect(relativeError(results.loss!.data, [loss(x.data)])).toBeLessThan(tolerance)
      const at = samples(x.data.length)
      const slopes = differences(loss, x.data, at)
      const found = at.map((i) => results['kept slope']!.data[i]!)
      // Rounded once to 8 significant bits: half a unit in the last place is at most 2^-8 of a value.
      expect(relativeError(found, slopes)).toBeLessThan(2 ** -8 + tolerance)
    },
  )
})
