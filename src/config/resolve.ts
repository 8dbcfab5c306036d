import { SemgenError, shown } from '../errors.js'
import { listed } from './kinds.js'
import { environmentName, type OptionsOf, type OptionTable, optionName } from './options.js'

/** A value as it was given, and where: "--patch", "SEMGEN_PATCH", "run.yaml:3 (patch)". */
export interface Given {
  readonly value: unknown
  readonly origin: string
  /** Set by a preset, or by the record of a run, which has every option: no one's wish by itself. */
  readonly unasked?: true
}

/** The values that one source gives, by key. */
export type Layer = ReadonlyMap<string, Given>

/** What a command line gave, by key; undefined values were not given. */
export function commandLineLayer(table: OptionTable, given: Readonly<Record<string, unknown>>): Layer {
  const layer = new Map<string, Given>()
  for (const [key, { positional, kind }] of Object.entries(table)) {
    const value = given[key]
    if (value !== undefined && !(positional && Array.isArray(value) && value.length === 0))
      layer.set(key, { value, origin: positional ? kind.placeholder : optionName(key) })
  }
  return layer
}

/** The environment twins of a table's options. Other variables, empty ones too, are none of its business. */
export function environmentLayer(table: OptionTable, environment: Readonly<Record<string, string | undefined>>): Layer {
  const layer = new Map<string, Given>()
  for (const key of Object.keys(table)) {
    const origin = environmentName(key)
    const value = environment[origin]
    if (value) layer.set(key, { value, origin })
  }
  return layer
}

/**
 * The values of a table's options, from the first layer that gives each, else its default.
 * @throws SemgenError BAD_OPTION, naming where the value came from and what the option takes
 */
export function resolveOptions<T extends OptionTable>(table: T, ...layers: readonly Layer[]): OptionsOf<T> {
  const values: Record<string, unknown> = {}
  const missing: string[] = []
  const asked = new Map<string, string>()
  for (const [key, entry] of Object.entries(table)) {
    const given = layers.find((layer) => layer.has(key))?.get(key)
    if (given) {
      const parsed = entry.kind.schema.safeParse(given.value)
      if (!parsed.success)
        throw new SemgenError('BAD_OPTION', `${given.origin} takes ${entry.kind.expects}, not ${shownGiven(given)}.`)
      values[key] = parsed.data
      if (!given.unasked) asked.set(key, given.origin)
    } else if (entry.required) {
      missing.push(entry.positional ? `${entry.kind.placeholder} (${entry.kind.expects})` : optionName(key))
    } else {
      values[key] = entry.fallback
    }
  }
  if (missing.length > 0) throw new SemgenError('BAD_OPTION', `${listed(missing, 'and')} must be given: see --help.`)
  givenIn.set(values, asked)
  return values as OptionsOf<T>
}

/** Of resolved options: where each value came from that someone gave. */
const givenIn = new WeakMap<object, ReadonlyMap<string, string>>()

/**
 * Options that someone gave, by key, each with where: "--patch", "SEMGEN_PATCH". Defaults and what a preset or a run's record
 * sets are not among them; of options that were not resolved but written down, those that differ from their defaults are.
 */
export function givenOptions(table: OptionTable, options: object): ReadonlyMap<string, string> {
  const values = new Map(Object.entries(options))
  const differing = Object.entries(table)
    .filter(([key, { fallback }]) => JSON.stringify(values.get(key)) !== JSON.stringify(fallback))
    .map(([key]) => [key, optionName(key)] as const)
  return givenIn.get(options) ?? new Map(differing)
}

/** Options made of resolved ones: what was given there counts as given in them. */
export function givenAs<T extends object>(from: object, options: T): T {
  const given = givenIn.get(from)
  if (given) givenIn.set(options, given)
  return options
}

/** A list of one, as the command line gives it, is shown as that one. */
const shownGiven = ({ value }: Given): string => shown(Array.isArray(value) && value.length === 1 ? value[0] : value)
