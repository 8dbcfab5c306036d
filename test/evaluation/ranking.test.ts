import { describe, expect, it } from 'vitest'
import { rank } from '../../src/evaluation/ranking.js'
import { Random } from '../../src/random.js'
import { ask, lacking } from './oracle.js'

/** Scores of which some tie, better or worse at telling positives. */
function drawn(count: number, seed: number, apart: number, steps: number) {
  const random = new Random(seed, 'test/scores')
  const positive = Array.from({ length: count }, (_, i) => (i < 2 ? i === 0 : random.chance(0.3)))
  const scores = positive.map((is) => Math.round(steps * (random.normal() + (is ? apart : 0))) / steps)
  return { positive, scores }
}

const sets = [
  drawn(40, 1, 1, 1000),
  drawn(300, 2, 0.3, 2),
  drawn(75, 3, 4, 10),
  drawn(500, 4, -0.5, 1e6),
  drawn(9, 5, 0, 1),
]

const absent = lacking('ranking against scikit-learn', 'sklearn', 'numpy')

// DeLong's variance by its definition: the placements of every pair.
const reference = `
import numpy as np
from sklearn.metrics import roc_auc_score, average_precision_score, roc_curve
answer = []
for case in asked:
    y, s = np.array(case['positive']), np.array(case['scores'])
    p, n = s[y], s[~y]
    psi = (p[:, None] > n[None]) + 0.5 * (p[:, None] == n[None])
    v10, v01 = psi.mean(1), psi.mean(0)
    se = np.sqrt(v10.var(ddof=1) / len(p) + v01.var(ddof=1) / len(n)) if min(len(p), len(n)) > 1 else None
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    answer.append({'auc': roc_auc_score(y, s), 'ap': average_precision_score(y, s), 'se': se,
                   'fpr': fpr.tolist(), 'tpr': tpr.tolist()})
`

describe('ranking', () => {
  it.skipIf(absent)('has the AUC, average precision and curve of scikit-learn, and DeLong’s interval', () => {
    type Told = { auc: number; ap: number; se: number; fpr: number[]; tpr: number[] }
    for (const [i, told] of ask<Told[]>(reference, sets).entries()) {
      const { scores, positive } = sets[i]!
      const ranking = rank(scores, positive)!
      // The same sums in another order: rounding of float64.
      expect(ranking.auc).toBeCloseTo(told.auc, 12)
      expect(ranking.averagePrecision).toBeCloseTo(told.ap, 12)
      expect(ranking.interval![0]).toBeCloseTo(Math.max(0, told.auc - 1.959963984540054 * told.se), 10)
      expect(ranking.interval![1]).toBeCloseTo(Math.min(1, told.auc + 1.959963984540054 * told.se), 10)
      expect(ranking.curve).toHaveLength(told.fpr.length)
      for (const [k, point] of ranking.curve.entries()) {
        expect(point.falsePositiveRate).toBeCloseTo(told.fpr[k]!, 12)
        expect(point.sensitivity).toBeCloseTo(told.tpr[k]!, 12)
      }
    }
  })

  it('is undefined where a class is absent, and has no interval of a single case', () => {
    expect(rank([0.1, 0.9], [true, true])).toBeUndefined()
    expect(rank([], [])).toBeUndefined()
    expect(rank([0.1, 0.9, 0.4], [true, false, false])).toMatchObject({ auc: 0, positives: 1, negatives: 2 })
    expect(rank([0.1, 0.9, 0.4], [true, false, false])!.interval).toBeUndefined()
  })

  it('counts ties half', () => {
    expect(rank([0.5, 0.5, 0.5, 0.5], [true, false, true, false])).toMatchObject({ auc: 0.5, averagePrecision: 0.5 })
  })
})
