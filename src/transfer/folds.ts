import type { FinetuneOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { Random } from '../random.js'
import type { SplitName } from '../volumes/index.js'

/**
 * Cross-validation: patients outside the test part are drawn into `folds` parts of nearly the same size; part `fold`, counted
 * from 1, validates, and the others train. The draw follows from the seed and the patients' names alone, so that runs with
 * fold 1, 2, ... hold every case out once.
 */
export function inFolds<T extends { readonly split: SplitName }>(
  cases: readonly T[],
  patientOf: (of: T) => string,
  { folds, fold, seed }: { readonly folds: number; readonly fold: number; readonly seed: number },
): T[] {
  const patients = [...new Set(cases.filter(({ split }) => split !== 'test').map(patientOf))].sort()
  const order = new Random(seed, 'folds').permutation(patients.length)
  const held = new Set([...order].filter((_, place) => place % folds === fold - 1).map((index) => patients[index]!))
  return cases.map((of) =>
    of.split === 'test' ? of : { ...of, split: held.has(patientOf(of)) ? 'validation' : 'train' },
  )
}

/** What --folds and --fold ask for. @throws SemgenError BAD_OPTION */
export function foldsOf({ folds, fold }: FinetuneOptions): { folds: number | undefined; fold: number } {
  if (fold > (folds ?? 1))
    throw new SemgenError(
      'BAD_OPTION',
      folds === undefined
        ? `--fold ${fold} goes with --folds, the number of parts to draw.`
        : `--fold takes 1 to ${folds}, the number of --folds, not ${fold}.`,
    )
  return { folds, fold }
}
