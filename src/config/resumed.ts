import { resolve } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { type OptionsOf, type OptionTable, optionName } from './options.js'
import { givenOptions } from './resolve.js'

/** What may differ between a run and its resumption: nothing that decides its bits. */
const free = new Set(['out', 'resume', 'force', 'checkpointEvery', 'gpu'])

/** @throws SemgenError BAD_OPTION when a run is to be gone on with and replaced at once */
export function checkResume({ resume, force }: { readonly resume: boolean; readonly force: boolean }): void {
  if (resume && force) throw new SemgenError('BAD_OPTION', '--resume and --force exclude each other.')
}

/**
 * The options of a resumed run: its own. What is given again must be the same; what is not given, and has its default, is not asked.
 * @throws SemgenError BAD_OPTION naming the option that differs
 */
export function resumedOptions<T extends OptionTable>(
  table: T,
  saved: OptionsOf<T>,
  given: OptionsOf<T>,
): OptionsOf<T> {
  const [before, now] = [saved, given] as unknown as Record<string, unknown>[] as [
    Record<string, unknown>,
    Record<string, unknown>,
  ]
  const merged = { ...before }
  const asked = givenOptions(table, given)
  for (const [key, { fallback }] of Object.entries(table)) {
    if (free.has(key)) merged[key] = now[key]
    else if ((asked.has(key) || !same(key, now[key], fallback)) && !same(key, now[key], before[key]))
      throw new SemgenError(
        'BAD_OPTION',
        `${key === 'source' ? 'The scans' : optionName(key)}: ${shown(now[key])} now, but the run was begun with ${shown(before[key] ?? 'none')}. A resumed run keeps its options; begin another one to change them.`,
      )
  }
  return merged as unknown as OptionsOf<T>
}

function same(key: string, a: unknown, b: unknown): boolean {
  const plain = (value: unknown) =>
    key === 'source' && Array.isArray(value)
      ? value.map((path) => resolve(String(path)))
      : key === 'data'
        ? resolve(String(value))
        : value
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b))
}
