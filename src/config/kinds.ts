import { z } from 'zod'

/**
 * What an option takes. Its schema reads the text of a command line or environment variable as well as the value of a
 * configuration file, and leaves a value it has already read as it is, so a saved configuration can be read again.
 */
export interface Kind<T> {
  /** How help and reference show a value: "XxYxZ". Empty for flags, which take none. */
  readonly placeholder: string
  /** Ends the sentence "--patch takes ...". */
  readonly expects: string
  /** Whether any text will do, so that there is nothing to explain. */
  readonly plain?: true
  readonly schema: z.ZodType<T>
  /** Whether it takes several values, one after another. */
  readonly list?: true
  /** How a value is written: what `schema` reads. */
  write(value: T): string
}

/** Any text that is not empty: a path, a name. */
export const text = (placeholder: string, expects: string): Kind<string> => ({
  placeholder,
  expects,
  plain: true,
  schema: z.string().min(1),
  write: (value) => value,
})

/** One or several of a kind: repeated on the command line, or with commas between where it is no free text; a list in a file. */
export const several = <T>(kind: Kind<T>): Kind<readonly T[]> => ({
  placeholder: kind.placeholder,
  expects: kind.expects,
  list: true,
  schema: z.preprocess((value) => {
    const values: unknown[] = Array.isArray(value) ? value : [value]
    const apart = (one: unknown) => (typeof one === 'string' && !kind.plain ? one.split(',') : [one])
    return values.flatMap(apart)
  }, z.array(kind.schema).min(1)),
  write: (values) => values.map(kind.write).join(' '),
})

/** On or off: --resume, --no-resume. */
export const flag: Kind<boolean> = {
  placeholder: '',
  expects: 'true or false',
  schema: z.preprocess((value) => ({ true: true, '1': true, false: false, '0': false })[String(value)], z.boolean()),
  write: String,
}

export const choice = <const T extends string>(...values: readonly T[]): Kind<T> => ({
  placeholder: values.join('|'),
  expects: listed(values, 'or'),
  schema: z.enum(values as unknown as [T, ...T[]]) as unknown as z.ZodType<T>,
  write: (value) => value,
})

export const whole = (low: number, high: number): Kind<number> => ({
  placeholder: 'N',
  expects: high === Number.MAX_SAFE_INTEGER ? `a whole number from ${low}` : `a whole number from ${low} to ${high}`,
  schema: z.preprocess(numeric, z.number().int().min(low).max(high)),
  write: String,
})

/** A number from `low`, or above it where `open`, to `high`. */
export const decimal = (low: number, high: number, open = false): Kind<number> => ({
  placeholder: 'X',
  expects: `a number ${open ? 'above' : 'from'} ${low}${high === Number.POSITIVE_INFINITY ? '' : ` to ${high}`}`,
  schema: z.preprocess(
    numeric,
    z
      .number()
      .refine((value) => (open ? value > low : value >= low))
      .max(high === Number.POSITIVE_INFINITY ? Number.MAX_VALUE : high),
  ),
  write: String,
})

export type Triple = readonly [number, number, number]

/** Voxels along x, y, z: 64x64x32, or [64, 64, 32] in a file. */
export const extents = (low: number, high: number): Kind<Triple> => ({
  placeholder: 'XxYxZ',
  expects: `three whole numbers from ${low} to ${high}, such as 64x64x32`,
  schema: triple(z.number().int().min(low).max(high)),
  write: (value) => value.join('x'),
})

/** Millimetres along x, y, z: 1x1x2.5, or one number for all three. */
export const millimetres: Kind<Triple> = {
  placeholder: 'XxYxZ',
  expects: 'one or three numbers above 0 in millimetres, such as 1x1x2.5',
  schema: z.preprocess(
    (value) => {
      const one = numeric(value)
      return typeof one === 'number' ? [one, one, one] : value
    },
    triple(z.number().positive().max(1000)),
  ),
  write: (value) => value.join('x'),
}

/** A lower and an upper bound: -1000,1000. */
export const range: Kind<readonly [number, number]> = {
  placeholder: 'LOW,HIGH',
  expects: 'two numbers, the lower one first, such as -1000,1000',
  schema: z.preprocess(
    separated(','),
    z.tuple([z.number(), z.number()]).refine(([low, high]) => low < high),
  ) as z.ZodType<readonly [number, number]>,
  write: (value) => value.join(','),
}

/** Shares of the training, validation and test part, which sum to 1: 0.7,0.2,0.1. */
export const fractions: Kind<Triple> = {
  placeholder: 'A,B,C',
  expects: 'three fractions that sum to 1, such as 0.7,0.2,0.1',
  schema: z.preprocess(
    separated(','),
    z
      .tuple([z.number().min(0), z.number().min(0), z.number().min(0)])
      .refine((parts) => Math.abs(parts[0] + parts[1] + parts[2] - 1) < 1e-6),
  ) as z.ZodType<Triple>,
  write: (value) => value.join(','),
}

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 }

/** Seconds, read from 90, 90s, 30m, 1h30m or 2d. */
export const duration: Kind<number> = {
  placeholder: 'TIME',
  expects: 'a time such as 90s, 30m or 1h30m',
  schema: z.preprocess((value) => {
    const seconds = numeric(value)
    if (typeof seconds !== 'string') return seconds
    if (!/^(\d+(\.\d+)?[smhd])+$/.test(seconds)) return undefined
    return [...seconds.matchAll(/([\d.]+)([smhd])/g)].reduce(
      (sum, [, n, unit]) => sum + Number(n) * unitSeconds[unit!]!,
      0,
    )
  }, z.number().positive().max(1e9)),
  write: (value) => {
    const unit = ['d', 'h', 'm'].find((name) => value % unitSeconds[name]! === 0) ?? 's'
    return `${value / unitSeconds[unit]!}${unit}`
  },
}

/** "a, b or c" */
export function listed(words: readonly string[], joint: 'or' | 'and'): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} ${joint} ${words.at(-1)}`
}

/** A number where text says one; anything else as it came. */
function numeric(value: unknown): unknown {
  return typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()) ? Number(value) : value
}

function separated(separator: string): (value: unknown) => unknown {
  return (value) => (typeof value === 'string' ? value.split(separator).map(numeric) : value)
}

function triple(element: z.ZodType<number>): z.ZodType<Triple> {
  return z.preprocess(separated('x'), z.tuple([element, element, element])) as z.ZodType<Triple>
}
