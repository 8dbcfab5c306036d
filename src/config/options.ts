import { z } from 'zod'
import type { Kind } from './kinds.js'

/**
 * One option, described once. The command line, the environment, configuration files, the saved configuration, help
 * and reference are all made from it.
 */
export interface Option<T = unknown> {
  readonly kind: Kind<Exclude<T, undefined>>
  readonly description: string
  /** The value where none is given; absent when it is required or chosen later. */
  readonly fallback?: T
  /** How the value is chosen where none is given: "fitted to the cohort". */
  readonly automatic?: string
  readonly required?: true
  /** Given by its place, not by a name; `kind.placeholder` names it. */
  readonly positional?: true
  /** The heading in help and reference. */
  readonly group?: string
}

export type OptionTable = Readonly<Record<string, Option>>

/** The values of a table's options. Those chosen automatically are undefined until someone chooses. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never
}

/** An option with a fixed default. */
export function option<T>(kind: Kind<T>, fallback: NoInfer<T>, description: string): Option<T> {
  return { kind: kind as Option<T>['kind'], fallback, description }
}

/** An option that is chosen by the work itself where it is not given; `automatic` says by what. */
export function chosen<T>(kind: Kind<T>, automatic: string, description: string): Option<T | undefined> {
  return { kind: kind as Option<T | undefined>['kind'], automatic, description }
}

/** An option that must be given. */
export function required<T>(kind: Kind<T>, description: string): Option<T> {
  return { kind: kind as Option<T>['kind'], required: true, description }
}

/** An option that is given by its place, not by its name. */
export function positional<T>(entry: Option<T>): Option<T> {
  return { ...entry, positional: true }
}

/** Puts options under one heading. */
export function group<const T extends OptionTable>(heading: string, table: T): T {
  return Object.fromEntries(Object.entries(table).map(([name, entry]) => [name, { ...entry, group: heading }])) as T
}

/** Reads a saved set of options (config.json): every key known, every value as its kind says. */
export function schemaOf<T extends OptionTable>(table: T): z.ZodType<OptionsOf<T>> {
  const shape = Object.entries(table).map(([name, { kind, automatic }]) => {
    const schema = kind.schema as z.ZodType
    return [name, automatic === undefined ? schema : schema.optional()] as const
  })
  return z.strictObject(Object.fromEntries(shape)) as unknown as z.ZodType<OptionsOf<T>>
}

/** baseWidth → --base-width */
export const optionName = (key: string): string => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** baseWidth → SEMGEN_BASE_WIDTH */
export const environmentName = (key: string): string =>
  `SEMGEN_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** base-width → baseWidth */
export const keyName = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** What help and reference say about the value where none is given. */
export function defaultText({ kind, fallback, automatic, required }: Option): string {
  if (required) return 'required'
  if (automatic !== undefined) return automatic
  return (kind as Kind<unknown>).write(fallback)
}
