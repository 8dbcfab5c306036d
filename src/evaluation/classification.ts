import type { EvaluateOptions } from '../config/index.js'
import { SemgenError, shown } from '../errors.js'
import { counted } from '../format.js'
import type { Progress } from '../progress.js'
import { type Ranking, rank } from './ranking.js'
import type { Interval } from './summary.js'
import { idColumns, needPlace, numberAt, placeOf, readTable, rowsById, type Table } from './table.js'

export interface ClassFigures {
  readonly positives: number
  readonly negatives: number
  readonly auc?: number
  /** 95 %, after DeLong. */
  readonly interval?: Interval
  readonly averagePrecision?: number
  /** Of calling positive what scores above one half; absent where scores are no probabilities. */
  readonly sensitivity?: number
  readonly specificity?: number
  /** Why figures are absent. */
  readonly note?: string
}

export interface ClassifiedCase {
  readonly id: string
  /** Names of the classes that are true. */
  readonly truth: readonly string[]
  /** Names of the classes that are called: the one of the highest score, or all above one half. */
  readonly called: readonly string[]
  readonly scores: Readonly<Record<string, number>>
}

export interface ClassificationResult {
  readonly task: 'classify'
  readonly predictions: string
  readonly truth: string
  /** One score for a positive class; one score a class of which one is true; or of which several may be. */
  readonly kind: 'binary' | 'exclusive' | 'multiple'
  readonly classes: Readonly<Record<string, ClassFigures>>
  /** Means over the classes that have them. */
  readonly mean: { readonly auc?: number; readonly averagePrecision?: number }
  /** Share of cases called as they are; absent where scores are no probabilities or several classes may be true. */
  readonly accuracy?: number
  /** Cases by what is true, then by what is called; classes that may be true together have none. */
  readonly confusion?: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly cases: readonly ClassifiedCase[]
  readonly skipped: readonly { readonly id: string; readonly reason: string }[]
  readonly unmatched: readonly string[]
}

/** The curves of each class that has them, for the page. */
export type Rankings = ReadonlyMap<string, Ranking>

/** What a single column of scores may be called. */
const single = ['score', 'probability', 'p', 'positive']
/** Columns that are neither scores nor findings. */
const beside = [...idColumns, 'label', 'truth', 'predicted', 'prediction', 'called', 'patient', 'split']

/**
 * Compares a table of scores with a table of truths, row by row of the same name.
 * @throws SemgenError NO_DATA, BAD_OPTION, BAD_FILE, IO
 */
export async function evaluateClassification(
  options: EvaluateOptions,
  progress: Progress,
): Promise<{ result: ClassificationResult; rankings: Rankings }> {
  if (options.missing === 'empty')
    throw new SemgenError('BAD_OPTION', '--missing empty is for masks: with --task classify it is error or skip.')
  const [scores, truth] = [await readTable(options.predictions), await readTable(options.truth)]
  const [scoreRows, truthRows] = [rowsById(scores), rowsById(truth)]
  const { kind, classes, trueOf } = readTruth(truth, scores)
  const ids = [...truthRows.keys()].sort()
  const without = ids.filter((id) => !scoreRows.has(id))
  if (without[0] !== undefined && options.missing === 'error')
    throw new SemgenError(
      'NO_DATA',
      `${without.length} of ${counted(ids.length, 'case')} of ${options.truth} have no row in ${options.predictions}; the first is ${shown(without[0])}. --missing skip leaves them out.`,
    )
  const unmatched = [...scoreRows.keys()].filter((id) => !truthRows.has(id))
  const read = ids
    .filter((id) => scoreRows.has(id))
    .map((id) => ({
      id,
      truth: trueOf(truthRows.get(id)!),
      scores: Object.fromEntries(classes.map(({ name, place }) => [name, numberAt(scores, scoreRows.get(id)!, place)])),
    }))
  if (read.length === 0)
    throw new SemgenError('NO_DATA', `${options.predictions} has a row of no case of ${options.truth}.`)
  const probable = read.every((one) => Object.values(one.scores).every((score) => score >= 0 && score <= 1))
  const names = classes.map(({ name }) => name)
  const cases = read.map((one): ClassifiedCase => ({ ...one, called: called(kind, names, one.scores) }))
  const rankings = new Map<string, Ranking>()
  const figures = names.map((name) => {
    const ranking = rank(
      cases.map((one) => one.scores[name]!),
      cases.map((one) => one.truth.includes(name)),
    )
    if (ranking) rankings.set(name, ranking)
    return [name, figuresOf(name, ranking, cases, probable || kind === 'exclusive')] as const
  })
  const counts = probable || kind === 'exclusive' ? agreement(kind, names, cases) : undefined
  const result: ClassificationResult = {
    task: 'classify',
    predictions: options.predictions,
    truth: options.truth,
    kind,
    classes: Object.fromEntries(figures),
    mean: meansOf([...rankings.values()]),
    ...counts,
    cases,
    skipped: without.map((id) => ({ id, reason: `${id} has no row in ${options.predictions}.` })),
    unmatched,
  }
  tell(result, probable, progress)
  return { result, rankings }
}

/** What is told apart, by which column of scores, and which classes a row of the truth has. */
function readTruth(truth: Table, scores: Table) {
  const labels = placeOf(truth, ['label', 'truth', 'class'])
  const only = placeOf(scores, single)
  if (labels === undefined) return findings(truth, scores)
  const column = truth.rows.map((cells, row) => {
    if (cells[labels] !== '') return cells[labels]!
    throw new SemgenError('BAD_FILE', `${truth.path}, row ${truth.lines[row]}: ${truth.columns[labels]} is empty.`)
  })
  const found = [...new Set(column)].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  if (only !== undefined) {
    const positive = found.filter((name) => /^(1|true|yes|positive)$/i.test(name))
    const others = found.filter((name) => !positive.includes(name))
    if (others.length > 1 || positive.length > 1)
      throw new SemgenError(
        'BAD_FILE',
        `${truth.path} has the labels ${found.join(', ')}: a single column of scores (${scores.columns[only]}) goes with 1 for positive and 0 for negative.`,
      )
    return {
      kind: 'binary' as const,
      classes: [{ name: positive[0] ?? '1', place: only }],
      trueOf: (row: number) => (positive.includes(column[row]!) ? [column[row]!] : []),
    }
  }
  const columns = scoreColumns(scores, found)
  const missing = found.find((name) => !columns.some((one) => one.name === name))
  if (missing !== undefined)
    throw new SemgenError(
      'BAD_FILE',
      `${scores.path} has no column of scores of the class ${shown(missing)}: it has ${columns.map(({ name }) => name).join(', ') || 'none'}.`,
    )
  return { kind: 'exclusive' as const, classes: columns, trueOf: (row: number) => [column[row]!] }
}

/** A truth with a column of 0 and 1 for each finding. */
function findings(truth: Table, scores: Table) {
  const columns = scoreColumns(truth)
  if (columns.length === 0) needPlace(truth, ['label'])
  const classes = columns.map(({ name }) => ({
    name,
    place: needPlace(scores, [name, ...prefixes.map((p) => p + name)]),
  }))
  for (const row of truth.rows.keys())
    for (const { name, place } of columns)
      if (!['0', '1'].includes(truth.rows[row]![place]!))
        throw new SemgenError(
          'BAD_FILE',
          `${truth.path}, row ${truth.lines[row]}: ${name} is ${shown(truth.rows[row]![place])}, and a finding is 0 or 1.`,
        )
  return {
    kind: 'multiple' as const,
    classes,
    trueOf: (row: number) => columns.filter(({ place }) => truth.rows[row]![place] === '1').map(({ name }) => name),
  }
}

const prefixes = ['probability ', 'probability_', 'score ', 'score_', 'p_']

/**
 * The columns of scores: all that are not known to be something else. Where some say by a prefix that they are, others count
 * if cases have them for a class: an age does not.
 */
function scoreColumns({ columns }: Table, classes: readonly string[] = []): { name: string; place: number }[] {
  const all = columns
    .map((column, place) => {
      const prefix = prefixes.find((start) => column.toLowerCase().startsWith(start))
      return { name: column.slice(prefix?.length ?? 0), place, column }
    })
    .filter(({ column }) => !beside.includes(column.toLowerCase()))
  const said = all.filter(({ name, column }) => name !== column || classes.includes(name))
  const some = all.some(({ name, column }) => name !== column)
  return (some ? said : all).map(({ name, place }) => ({ name, place }))
}

function called(
  kind: ClassificationResult['kind'],
  names: readonly string[],
  scores: Readonly<Record<string, number>>,
): string[] {
  if (kind !== 'exclusive') return names.filter((name) => scores[name]! > 0.5)
  return [names.reduce((best, name) => (scores[name]! > scores[best]! ? name : best))]
}

function figuresOf(
  name: string,
  ranking: Ranking | undefined,
  cases: readonly ClassifiedCase[],
  decided: boolean,
): ClassFigures {
  const positives = cases.filter(({ truth }) => truth.includes(name))
  const negatives = cases.filter(({ truth }) => !truth.includes(name))
  const share = (of: readonly ClassifiedCase[], is: boolean) =>
    of.filter((one) => one.called.includes(name) === is).length / of.length
  return {
    positives: positives.length,
    negatives: negatives.length,
    ...(ranking
      ? {
          auc: ranking.auc,
          ...(ranking.interval ? { interval: ranking.interval } : {}),
          averagePrecision: ranking.averagePrecision,
        }
      : { note: `No case ${positives.length === 0 ? 'is' : 'is not'} ${name}: there is nothing to rank.` }),
    ...(decided && positives.length > 0 ? { sensitivity: share(positives, true) } : {}),
    ...(decided && negatives.length > 0 ? { specificity: share(negatives, false) } : {}),
  }
}

function meansOf(rankings: readonly Ranking[]): ClassificationResult['mean'] {
  if (rankings.length === 0) return {}
  const mean = (read: (ranking: Ranking) => number) =>
    rankings.reduce((sum, ranking) => sum + read(ranking), 0) / rankings.length
  return { auc: mean(({ auc }) => auc), averagePrecision: mean(({ averagePrecision }) => averagePrecision) }
}

function agreement(kind: ClassificationResult['kind'], names: readonly string[], cases: readonly ClassifiedCase[]) {
  if (kind === 'multiple') return {}
  const word = (of: readonly string[]) => of[0] ?? `not ${names[0]}`
  const words = kind === 'binary' ? [names[0]!, `not ${names[0]}`] : names
  const confusion = Object.fromEntries(words.map((a) => [a, Object.fromEntries(words.map((b) => [b, 0]))]))
  for (const { truth, called } of cases) confusion[word(truth)]![word(called)]!++
  const right = words.reduce((sum, name) => sum + confusion[name]![name]!, 0)
  return { accuracy: right / cases.length, confusion }
}

function tell(
  { classes, skipped, unmatched, kind }: ClassificationResult,
  probable: boolean,
  progress: Progress,
): void {
  if (!probable && kind !== 'exclusive')
    progress.warn('Scores lie outside of 0 to 1, so they are ranked only: sensitivity and the like need a threshold.')
  for (const { note } of Object.values(classes)) if (note) progress.warn(note)
  if (skipped[0]) progress.warn(`Left out: ${counted(skipped.length, 'case')}; the first: ${skipped[0].reason}`)
  if (unmatched[0])
    progress.warn(`Left out: ${counted(unmatched.length, 'prediction')} without a truth; the first: ${unmatched[0]}`)
}
