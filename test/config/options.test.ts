import { describe, expect, it } from 'vitest'
import {
  choice,
  commandLineLayer,
  decimal,
  duration,
  environmentLayer,
  extents,
  flag,
  fractions,
  type Kind,
  millimetres,
  type OptionTable,
  option,
  positional,
  required,
  resolveOptions,
  schemaOf,
  several,
  text,
  trainOptions,
  whole,
} from '../../src/config/index.js'

describe('kinds', () => {
  const read = <T>(kind: Kind<T>, value: unknown) => {
    const parsed = kind.schema.safeParse(value)
    return parsed.success ? parsed.data : 'refused'
  }

  it.each<[string, Kind<unknown>, unknown, unknown]>([
    ['extents from text', extents(1, 512), '64x64x32', [64, 64, 32]],
    ['extents from a list', extents(1, 512), [64, 64, 32], [64, 64, 32]],
    ['extents of two', extents(1, 512), '64x64', 'refused'],
    ['extents out of range', extents(1, 512), '64x64x0', 'refused'],
    ['extents with a fraction', extents(1, 512), '64x64x1.5', 'refused'],
    ['one millimetre for three', millimetres, '1.5', [1.5, 1.5, 1.5]],
    ['millimetres', millimetres, '1x1x2.5', [1, 1, 2.5]],
    ['no millimetres', millimetres, '1x0x1', 'refused'],
    ['fractions', fractions, '0.7,0.2,0.1', [0.7, 0.2, 0.1]],
    ['fractions that do not sum to 1', fractions, '0.7,0.2,0.2', 'refused'],
    ['a plain number of seconds', duration, '90', 90],
    ['minutes', duration, '30m', 1800],
    ['hours and minutes', duration, '1h30m', 5400],
    ['a time without a unit it knows', duration, '30x', 'refused'],
    ['no time', duration, '0s', 'refused'],
    ['whole', whole(0, 10), '7', 7],
    ['whole in exponent form', whole(0, 10_000), '1e3', 1000],
    ['whole that is none', whole(0, 10), '7.5', 'refused'],
    ['whole from nothing', whole(0, 10), '', 'refused'],
    ['whole from hexadecimal', whole(0, 100), '0x10', 'refused'],
    ['open end', decimal(0, 1, true), '0', 'refused'],
    ['closed end', decimal(0, 1), '0', 0],
    ['not a number', decimal(0, 1), 'NaN', 'refused'],
    ['flag from text', flag, 'true', true],
    ['flag from 0', flag, '0', false],
    ['flag from another word', flag, 'yes', 'refused'],
    ['choice', choice('a', 'b'), 'b', 'b'],
    ['no choice', choice('a', 'b'), 'c', 'refused'],
    ['one text', several(text('P', 'paths')), 'x', ['x']],
    ['no text', several(text('P', 'paths')), [], 'refused'],
  ])('reads %s', (_, kind, value, expected) => {
    expect(read(kind, value)).toEqual(expected)
    // A value that was read can be read again, and so can what it is written as.
    if (expected !== 'refused') {
      expect(read(kind, expected)).toEqual(expected)
      expect(read(kind, kind.write(expected))).toEqual(expected)
    }
  })
})

describe('resolveOptions', () => {
  const table = {
    source: positional(required(several(text('PATH', 'a folder')), 'Scans.')),
    batch: option(whole(1, 100), 4, 'Cubes a step.'),
    baseWidth: option(whole(1, 100), 32, 'Channels.'),
  }
  const given = (values: Record<string, unknown>) => commandLineLayer(table, values)

  it('takes the first source that gives an option, and else its default', () => {
    const environment = environmentLayer(table, { SEMGEN_BATCH: '8', SEMGEN_BASE_WIDTH: '16', SEMGEN_DEBUG: '1' })
    expect(resolveOptions(table, given({ source: ['a'], batch: '2' }), environment)).toEqual({
      source: ['a'],
      batch: 2,
      baseWidth: 16,
    })
    expect(resolveOptions(table, given({ source: ['a'] }), environmentLayer(table, { SEMGEN_BATCH: '' }))).toEqual({
      source: ['a'],
      batch: 4,
      baseWidth: 32,
    })
  })

  it('names the option and where the value came from', () => {
    expect(() => resolveOptions(table, given({ source: ['a'], baseWidth: 'x' }))).toThrow(
      '--base-width takes a whole number from 1 to 100, not "x".',
    )
    const environment = environmentLayer(table, { SEMGEN_BATCH: 'x' })
    expect(() => resolveOptions(table, given({ source: ['a'] }), environment)).toThrow(
      'SEMGEN_BATCH takes a whole number from 1 to 100, not "x".',
    )
    expect(() => resolveOptions(table, given({ source: [] }))).toThrow('PATH (a folder) must be given: see --help.')
  })

  it('reads a saved configuration again', () => {
    const options = resolveOptions(
      trainOptions,
      commandLineLayer(trainOptions, { source: ['a'], out: 'r', patch: '32x32x16' }),
    )
    const saved = JSON.parse(JSON.stringify(options))
    expect(JSON.parse(JSON.stringify(schemaOf(trainOptions).parse(saved)))).toEqual(saved)
    expect(() => schemaOf(trainOptions).parse({ ...saved, pach: 1 })).toThrow()
  })

  it('has defaults that its own kinds accept', () => {
    for (const [key, { kind, fallback }] of Object.entries(trainOptions as OptionTable))
      if (fallback !== undefined) expect(kind.schema.parse(fallback), key).toEqual(fallback)
  })
})
