import { describe, expect, test, vi } from 'vitest'
import { openEngine } from '../../src/engine/index.js'
import { Random } from '../../src/random.js'
import { count, engines, integers } from './harness.js'

const volume = [1, 8, 8, 8, 16]
const bytes = 4 * count(volume)

describe.each(engines())('on $device', (engine) => {
  /** A program that reads `x` and has an activation to write to. */
  function prepared(shape: readonly number[] = volume) {
    const program = engine.program()
    const x = program.bind(engine.tensor(shape).fill(integers(shape, 1).data))
    return { program, x, y: program.activation(shape) }
  }

  test.each([
    { wrong: 'an operation that is none', name: 'sigmoids', message: /no operation "sigmoids"/ },
    { wrong: 'an input too few', inputs: [], message: /sigmoid needs the tensor "x"/ },
    { wrong: 'an input too many', inputs: ['x', 'z'], message: /sigmoid has no tensor "z", only: x/ },
    { wrong: 'an output too few', outputs: [], message: /sigmoid needs the tensor "y"/ },
    { wrong: 'an output too many', outputs: ['y', 'mask'], message: /sigmoid has no tensor "mask", only: y/ },
    { wrong: 'an attribute too many', attributes: { scale: 2 }, message: /sigmoid takes only these attributes/ },
  ])('$wrong is refused when it is recorded', (given) => {
    const { name = 'sigmoid', inputs = ['x'], outputs = ['y'], attributes = {}, message } = given
    const { program, x, y } = prepared()
    const roles = (names: string[], id: number) => Object.fromEntries(names.map((role) => [role, id]))
    expect(() => program.record(name, roles(inputs, x), roles(outputs, y), attributes as never)).toThrow(
      expect.objectContaining({ code: 'NATIVE', message: expect.stringMatching(message) }),
    )
  })

  test('an attribute too few, and one of another kind, are refused', () => {
    const { program, x, y } = prepared()
    expect(() => program.record('resize', { x }, { y })).toThrow(/resize needs the attribute "method"/)
    expect(() => program.record('resize', { x }, { y }, { size: 'linear' })).toThrow(/needs the attribute "method"/)
    program.record('resize', { x }, { y }, { method: 2 })
    expect(() => program.compile()).toThrow(/resize takes a word as "method"/)
  })

  test('several tensors where one belongs are refused', () => {
    const { program, x, y } = prepared()
    expect(() => program.record('sigmoid', { x: [x, x] }, { y })).toThrow(/takes one tensor as "x"/)
  })

  test('a tensor that nothing has written, or that does not exist, is refused', () => {
    const { program, x, y } = prepared()
    expect(() => program.record('sigmoid', { x: y }, { y: x })).toThrow(/reads "x" before anything has written it/)
    expect(() => program.record('sigmoid', { x: 17 }, { y })).toThrow(/no tensor 17/)
  })

  test('memory is made, written and read while a program runs for the first time', async () => {
    const { program, x } = prepared()
    let before = x
    for (let i = 0; i < 200; i++) {
      const y = program.activation(volume)
      program.record('sigmoid', { x: before }, { y })
      before = y
    }
    program.compile()
    const running = program.run()
    for (let i = 0; i < 200; i++) {
      const made = engine.tensor([4])
      expect([...made.read<Float32Array>()]).toEqual([0, 0, 0, 0])
      made.write(Float32Array.of(i, 1, 2, 3))
      expect([...made.read<Float32Array>()]).toEqual([i, 1, 2, 3])
    }
    await running
    program.dispose()
  })

  test('a compiled program takes no further operations, a running or disposed one none at all', async () => {
    const { program, x, y } = prepared()
    program.record('sigmoid', { x }, { y })
    program.compile()
    expect(() => program.record('sigmoid', { x }, { y })).toThrow(/takes no further operations/)
    const running = program.run()
    expect(() => program.bind(engine.tensor([1]))).toThrow(/while it runs/)
    await running
    program.dispose()
    expect(() => program.bind(engine.tensor([1]))).toThrow(/after it was disposed of/)
  })

  test('shapes without elements, with fractions or beyond sense are refused', () => {
    const program = engine.program()
    for (const shape of [[0], [2, -1], [1.5], [1e9, 1e9], [Number.NaN], [1, 1, 1, 1, 1, 1, 1]]) {
      expect(() => program.activation(shape), String(shape)).toThrow(/extents/)
      expect(() => engine.tensor(shape), String(shape)).toThrow(/extents/)
    }
  })

  test('activations share memory by their lifetimes', () => {
    const { program, x } = prepared()
    let last = x
    for (let i = 0; i < 10; i++) {
      const y = program.activation(volume)
      program.record('add', { a: last, b: last }, { y })
      last = y
    }
    const { arenaBytes, persistentBytes, operations } = program.compile()
    // One being read and one being written, of ten.
    expect(arenaBytes).toBe(2 * bytes)
    expect(persistentBytes).toBe(bytes)
    expect(operations.map(({ operation }) => operation)).toEqual(Array(10).fill('add'))
  })

  test.each([1, 2, 3])('no activation is overwritten while it is needed: random sums, seed %i', async (seed) => {
    const random = new Random(seed, 'test/program')
    const shapes = [[1, 2, 3, 4, 5], [3, 50], [1, 4, 4, 4, 16], [7]]
    const program = engine.program()
    /** Activations and inputs by shape, with the values they ought to have. */
    const known = shapes.map((shape, i) => {
      const data = integers(shape, i).data as Float32Array
      return [{ id: program.bind(engine.tensor(shape).fill(data)), data }]
    })
    const results: { tensor: ReturnType<typeof engine.tensor>; data: Float32Array }[] = []
    let separate = 0
    for (let step = 0; step < 60; step++) {
      const kind = random.integer(0, shapes.length)
      const list = known[kind]!
      // The last few, or any of long ago.
      const pick = () => list[random.integer(random.chance(0.7) ? Math.max(0, list.length - 3) : 0, list.length)]!
      const [a, b] = [pick(), pick()]
      // Rounded as the engine rounds: one float32 addition.
      const data = a.data.map((value, i) => value + b.data[i]!) as Float32Array
      const id = program.activation(shapes[kind]!)
      separate += data.byteLength
      program.record('add', { a: a.id, b: b.id }, { y: id })
      list.push({ id, data })
      if (step % 6 === 0) {
        const tensor = engine.tensor(shapes[kind]!)
        program.record('cast', { x: id }, { y: program.bind(tensor) })
        results.push({ tensor, data })
      }
    }
    expect(program.compile().arenaBytes).toBeLessThan(separate)
    for (let run = 0; run < 2; run++) {
      await program.run()
      for (const { tensor, data } of results) expect(tensor.read()).toEqual(data)
      for (const { tensor } of results) tensor.fill(0)
    }
    program.dispose()
  })

  test('programs run in the order they were asked for, on tensors they share', async () => {
    const [x, y] = [engine.tensor([1000]).fill(1), engine.tensor([1000])]
    const [double, back] = [engine.program(), engine.program()]
    double.record('add', { a: double.bind(x), b: double.bind(x) }, { y: double.bind(y) })
    back.record('cast', { x: back.bind(y) }, { y: back.bind(x) })
    for (let i = 0; i < 5; i++) await Promise.all([double.run(), back.run()])
    expect(x.read()).toEqual(new Float32Array(1000).fill(32))
  })

  test('more memory than there is is an error that can be caught, and the engine goes on', async () => {
    const { program, x } = prepared([4])
    // 4 TB.
    const huge = program.activation([1e6, 1e6])
    program.record(
      'linear',
      {
        x: program.bind(engine.tensor([1e6, 1])),
        weight: program.bind(engine.tensor([1e6, 1])),
        bias: program.bind(engine.tensor([1e6])),
      },
      { y: huge },
    )
    const refused = expect.objectContaining({ code: 'OUT_OF_MEMORY', message: expect.stringMatching(/needed/) })
    expect(() => program.compile()).toThrow(refused)
    expect(() => engine.tensor([1e6, 1e6])).toThrow(refused)
    const after = engine.program()
    const y = engine.tensor([4])
    after.record('cast', { x: after.bind(engine.tensor([4]).fill(2)) }, { y: after.bind(y) })
    await after.run()
    expect(y.read()).toEqual(new Float32Array(4).fill(2))
    expect(x).toBe(0)
  })

  test('a run stops between two operations when it is aborted, and the program runs again', async () => {
    // A card runs all operations as one graph, which nothing stops: there the run may end as if nothing was said.
    const asOne = engine.device !== 'cpu'
    const shape = [asOne ? 1 << 10 : 1 << 20]
    const program = engine.program()
    const x = engine.tensor(shape).fill(1)
    const [one, other, result] = [program.bind(x), program.activation(shape), engine.tensor(shape)]
    // Some hundred milliseconds: abort comes microseconds after the start, or a time slice later on a busy machine.
    for (let i = 0; i < 500; i++) program.record('cast', { x: one }, { y: other })
    program.record('cast', { x: other }, { y: program.bind(result) })
    const running = program.run()
    program.abort()
    const outcome = await running.then(
      () => 'ran',
      (error: { code: string }) => error.code,
    )
    expect(asOne ? ['ABORTED', 'ran'] : ['ABORTED']).toContain(outcome)
    expect(result.read()[0]).toBe(outcome === 'ran' ? 1 : 0)
    await program.run()
    expect(result.read().every((value) => value === 1)).toBe(true)
  })
})

test('on a CPU, what a container does not allow is refused before the system kills', () => {
  const opened = (limit: number) => {
    const allowed = vi.spyOn(process, 'constrainedMemory').mockReturnValue(limit)
    try {
      return openEngine({ device: 'cpu' })
    } finally {
      allowed.mockRestore()
    }
  }
  expect(() => opened(2 ** 30).tensor([2 ** 28])).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }))
  // A promise costs nothing until it is touched.
  expect(opened(0).tensor([2 ** 28]).length).toBe(2 ** 28)
})
