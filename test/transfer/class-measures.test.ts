import { describe, expect, it } from 'vitest'
import { Random } from '../../src/random.js'
import {
  type Answers,
  bootstrapMeasures,
  calledOf,
  classMeasures,
  lossesOf,
  probabilitiesOf,
} from '../../src/transfer/class-measures.js'
import { ask, lacking } from '../evaluation/oracle.js'

/** Logits that know something, and what is true; some logits tie. */
function drawn(count: number, classes: number, exclusive: boolean, seed: number) {
  const random = new Random(seed, 'test/classes')
  const truths = Array.from({ length: count }, (_, i) =>
    exclusive
      ? [i < classes ? i : Math.min(random.integer(0, classes + 2), classes - 1)]
      : Array.from({ length: classes }, (_, c) => c).filter((c) => random.chance(0.2 + 0.1 * c)),
  )
  const logits = Float32Array.from({ length: count * classes }, (_, at) => {
    const is = truths[Math.floor(at / classes)]!.includes(at % classes)
    return Math.round(4 * (2 * random.normal() + (is ? 1 : -0.5))) / 4
  })
  return { classes, exclusive, truths, logits: [...logits] }
}

const sets = [drawn(60, 2, true, 1), drawn(120, 4, true, 2), drawn(90, 3, false, 3), drawn(40, 1, false, 4)]
const answersOf = ({ classes, exclusive, truths, logits }: (typeof sets)[number]): Answers => ({
  classes: Array.from({ length: classes }, (_, c) => `c${c}`),
  exclusive,
  truths,
  probabilities: probabilitiesOf(logits, classes, exclusive),
})

const absent = lacking('measures of classes against scikit-learn', 'sklearn', 'numpy')
const reference = `
import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, recall_score, roc_auc_score
rng = np.random.default_rng(0)
answer = []
for case in asked:
    k, l = case['classes'], np.array(case['logits']).reshape(-1, case['classes'])
    t = np.zeros(l.shape, int)
    for i, of in enumerate(case['truths']): t[i, of] = 1
    if case['exclusive']:
        p = np.exp(l - l.max(1, keepdims=True)); p /= p.sum(1, keepdims=True)
        y, called = t.argmax(1), p.argmax(1)
        auc = roc_auc_score(y, p[:, 1]) if k == 2 else roc_auc_score(y, p, multi_class='ovr', average='macro')
        found = [accuracy_score(y, called), balanced_accuracy_score(y, called), auc, log_loss(y, p, labels=list(range(k)))]
        score = lambda i: roc_auc_score(y[i], p[i, 1]) if k == 2 else np.mean([roc_auc_score(y[i] == c, p[i, c]) for c in range(k)])
    else:
        p = 1 / (1 + np.exp(-l)); called = (p > 0.5).astype(int)
        both = [recall_score(t[:, c], called[:, c], pos_label=is_) for c in range(k) for is_ in (0, 1)]
        found = [accuracy_score(t, called), np.mean(both), np.mean([roc_auc_score(t[:, c], p[:, c]) for c in range(k)]),
                 np.mean([log_loss(t[:, c], p[:, c]) for c in range(k)])]
        score = lambda i: np.mean([roc_auc_score(t[i, c], p[i, c]) for c in range(k)])
    draws = [score(rng.integers(0, len(l), len(l))) for _ in range(1000)]
    answer.append({'found': found, 'interval': np.quantile(draws, [0.025, 0.975]).tolist()})
`

describe('measures of classes', () => {
  it.skipIf(absent)('are those of scikit-learn (needs python3-sklearn)', () => {
    const expected = ask(reference, sets) as { found: number[]; interval: number[] }[]
    for (const [i, set] of sets.entries()) {
      const answers = answersOf(set)
      const { accuracy, balancedAccuracy, auc } = classMeasures(answers)
      const losses = lossesOf(set.logits, set.classes, set.exclusive, set.truths)
      const loss = losses.reduce((sum, one) => sum + one, 0) / losses.length
      // Float64 on both sides; scikit-learn of before 1.3 clips probabilities at 1e-15.
      for (const [j, value] of [accuracy, balancedAccuracy, auc!, loss].entries())
        expect(value, `set ${i}, figure ${j}`).toBeCloseTo(expected[i]!.found[j]!, 9)
      // Another row of random numbers: quantiles of 1,000 draws are good to about a tenth of the interval's width.
      const interval = bootstrapMeasures(answers, 1).auc!
      const width = expected[i]!.interval[1]! - expected[i]!.interval[0]!
      for (const side of [0, 1])
        expect(Math.abs(interval[side]! - expected[i]!.interval[side]!)).toBeLessThan(0.12 * width)
    }
  })

  it('follow their definitions where classes or differences are missing', () => {
    const certain = { classes: ['a', 'b', 'c'], exclusive: true, truths: [[0], [0], [1]] }
    const answers: Answers = { ...certain, probabilities: Float64Array.of(0.6, 0.3, 0.1, 0.2, 0.7, 0.1, 0.2, 0.7, 0.1) }
    expect(classMeasures(answers)).toMatchObject({ accuracy: 2 / 3, balancedAccuracy: 0.75 })
    // No image is of class c: it has no curve.
    expect(Object.keys(classMeasures(answers).aucOf)).toEqual(['a', 'b'])
    const one = { ...answers, truths: [[0], [0], [0]] }
    expect(classMeasures(one)).not.toHaveProperty('auc')
    expect(bootstrapMeasures(one, 0)).not.toHaveProperty('auc')
    expect(calledOf({ ...answers, exclusive: false }, 1)).toEqual([1])
    expect([...probabilitiesOf([1000, 0, -1000, 1000], 2, true)]).toEqual([1, 0, 0, 1])
    expect(lossesOf([1000, 0], 2, true, [[1]])).toEqual([1000])
    expect(lossesOf([1000, -1000], 2, false, [[0]])).toEqual([0])
  })

  it('have intervals that follow from the seed alone', () => {
    const answers = answersOf(sets[0]!)
    expect(bootstrapMeasures(answers, 7, 100)).toEqual(bootstrapMeasures(answers, 7, 100))
    expect(bootstrapMeasures(answers, 8, 100)).not.toEqual(bootstrapMeasures(answers, 7, 100))
  })
})
