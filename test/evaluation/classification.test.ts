import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClassificationResult } from '../../src/evaluation/classification.js'
import { evaluate } from '../../src/evaluation/index.js'
import { Random } from '../../src/random.js'
import { evaluating, listening } from './fixture.js'
import { ask, lacking } from './oracle.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-classify-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let made = 0
const run = async (predictions: string, truth: string, given: object = {}) => {
  const { lines, progress } = listening()
  const [predicted, known, out] = ['predicted.csv', 'truth.csv', `out${made++}`].map((name) => join(folder, name))
  writeFileSync(predicted!, predictions)
  writeFileSync(known!, truth)
  const options = evaluating({ predictions: predicted, truth: known, out, task: 'classify', ...given })
  const { result, page } = await evaluate(options, progress)
  return { result: result as ClassificationResult, page: readFileSync(page, 'utf8'), lines, out: out! }
}

const absent = lacking('classification against scikit-learn', 'sklearn', 'numpy')
const reference = `
import numpy as np
from sklearn import metrics
answer = []
for case in asked:
    y, s = np.array(case['truth']), np.array(case['scores'])
    called = s.argmax(1)
    answer.append({
        'auc': [metrics.roc_auc_score(y == k, s[:, k]) for k in range(s.shape[1])],
        'ap': [metrics.average_precision_score(y == k, s[:, k]) for k in range(s.shape[1])],
        'recall': metrics.recall_score(y, called, average=None).tolist(),
        'accuracy': metrics.accuracy_score(y, called),
        'confusion': metrics.confusion_matrix(y, called).tolist(),
    })
`

describe('evaluating scores', () => {
  it('takes no column of something else for a class', async () => {
    const { result } = await run(
      'image,probability_cat,probability_dog,age\na,0.9,0.1,61\nb,0.2,0.8,7\nc,0.7,0.3,33\n',
      'id,label\na,cat\nb,dog\nc,cat\n',
    )
    expect(Object.keys(result.classes)).toEqual(['cat', 'dog'])
    expect(result.cases.map(({ called }) => called)).toEqual([['cat'], ['dog'], ['cat']])
  })

  it.skipIf(absent)('of several classes gives the figures of scikit-learn', async () => {
    const random = new Random(1, 'test/classes')
    const truth = Array.from({ length: 120 }, (_, i) => i % 3)
    const scores = truth.map((is) => [0, 1, 2].map((k) => random.normal() + (k === is ? 1.2 : 0)))
    const [told] = ask<[{ auc: number[]; ap: number[]; recall: number[]; accuracy: number; confusion: number[][] }]>(
      reference,
      [{ truth, scores }],
    )
    const names = ['cat', 'dog', 'newt']
    const { result, page } = await run(
      `image,probability cat,p_dog,newt\n${scores.map((row, i) => `folder/i${i}.nii.gz,${row.join(',')}`).join('\n')}`,
      `id,label\n${truth.map((is, i) => `i${i},${names[is]}`).join('\n')}`,
    )
    expect(result.kind).toBe('exclusive')
    for (const [k, name] of names.entries()) {
      const figures = result.classes[name]!
      expect(figures.auc).toBeCloseTo(told.auc[k]!, 12)
      expect(figures.averagePrecision).toBeCloseTo(told.ap[k]!, 12)
      expect(figures.sensitivity).toBeCloseTo(told.recall[k]!, 12)
      expect(names.map((other) => result.confusion![name]![other])).toEqual(told.confusion[k])
    }
    expect(result.accuracy).toBeCloseTo(told.accuracy, 12)
    expect(result.mean.auc).toBeCloseTo((told.auc[0]! + told.auc[1]! + told.auc[2]!) / 3, 12)
    expect(page.match(/<svg /g)).toHaveLength(6)
  })

  it('of one positive class tells sensitivity and specificity at one half', async () => {
    const { result, out } = await run('id,score\na,0.9\nb,0.4\nc,0.6\nd,0.1\n', 'id,label\na,1\nb,1\nc,0\nd,0\n')
    expect(result).toMatchObject({
      kind: 'binary',
      accuracy: 0.5,
      classes: { '1': { auc: 0.75, sensitivity: 0.5, specificity: 0.5 } },
      confusion: { '1': { '1': 1, 'not 1': 1 }, 'not 1': { '1': 1, 'not 1': 1 } },
    })
    expect(readFileSync(join(out, 'cases.csv'), 'utf8')).toBe(
      'case,truth,called,score 1,note\na,1,1,0.9,\nb,1,,0.4,\nc,,1,0.6,\nd,,,0.1,\n',
    )
  })

  it('of several findings ranks each; one that no case has is told, and not averaged', async () => {
    const { result, lines, page } = await run(
      'id,effusion,mass,hernia\na,0.9,0.2,0.1\nb,0.4,0.8,0.3\nc,0.6,0.9,0.2\n',
      'id,effusion,mass,hernia\na,1,0,0\nb,0,1,0\nc,0,1,0\n',
    )
    expect(result).toMatchObject({ kind: 'multiple', mean: { auc: 1, averagePrecision: 1 } })
    expect(result.classes.hernia).toEqual({
      positives: 0,
      negatives: 3,
      specificity: 1,
      note: 'No case is hernia: there is nothing to rank.',
    })
    expect(lines).toContain('No case is hernia: there is nothing to rank.')
    expect(page + JSON.stringify(result)).not.toMatch(/NaN|undefined/)
  })

  it('beyond 0 to 1 ranks them only', async () => {
    const { result, lines } = await run('id,score\na,9\nb,-4\n', 'id,label\na,1\nb,0\n')
    expect(result.classes['1']).toEqual({ positives: 1, negatives: 1, auc: 1, averagePrecision: 1 })
    expect(result.accuracy).toBeUndefined()
    expect(lines.join()).toContain('ranked only')
  })
})

describe('tables that do not fit', () => {
  const truth = 'id,label\na,1\nb,0\n'
  it.each([
    ['a wrong column', 'id,label\na,1\n', truth, 'no column of scores of the class "0"'],
    ['no column of cases', 'scan,score\na,1\n', truth, 'none of them is id or case or image'],
    ['a word for a score', 'id,score\na,high\nb,0\n', truth, 'row 2: score is "high", and a finite number is expected'],
    ['no score', 'id,score\na,\nb,0\n', truth, 'row 2: score is "", and a finite number is expected'],
    ['NaN for a score', 'id,score\na,0.5\nb,nan\n', truth, 'row 3: score is "nan"'],
    ['a case twice', 'id,score\na,1\na,0\n', truth, 'two rows of the case "a"'],
    ['two columns of one name', 'id,score,score\na,1,1\n', truth, 'two columns named "score"'],
    [
      'three labels for one score',
      'id,score\na,1\n',
      'id,label\na,1\nb,2\nc,0\n',
      'a single column of scores (score) goes with',
    ],
    ['a finding that is neither 0 nor 1', 'id,mass\na,1\n', 'id,mass\na,2\n', 'mass is "2", and a finding is 0 or 1'],
    ['a case without a score', 'id,score\na,1\n', truth, '1 of 2 cases of'],
  ])('%s', async (_, predictions, known, sentence) => {
    await expect(run(predictions, known)).rejects.toThrow(sentence)
  })

  it('cases without a score can be left out, and not be taken for empty', async () => {
    const { result, lines } = await run('id,score\na,1\nx,1\n', truth, { missing: 'skip' })
    expect(result.skipped.map(({ id }) => id)).toEqual(['b'])
    expect(result.unmatched).toEqual(['x'])
    expect(lines.join()).toContain('Left out: 1 case')
    await expect(run('id,score\na,1\n', truth, { missing: 'empty' })).rejects.toMatchObject({ code: 'BAD_OPTION' })
  })
})
