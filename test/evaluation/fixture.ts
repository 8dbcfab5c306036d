import { completeOptions, type EvaluateOptions, evaluateOptions } from '../../src/config/index.js'
import { type Progress, silent } from '../../src/progress.js'

/** Options as the command line gives them. */
export const evaluating = (given: object): EvaluateOptions => completeOptions(evaluateOptions, given)

/** Collects what is said and warned. */
export function listening(): { lines: string[]; progress: Progress } {
  const lines: string[] = []
  const add = (line: string) => lines.push(line)
  return { lines, progress: { ...silent, say: add, warn: add } }
}
