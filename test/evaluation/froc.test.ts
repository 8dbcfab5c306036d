import { describe, expect, it } from 'vitest'
import { frocOf, type Mark, matchMarks, type Nodule, rates } from '../../src/evaluation/froc.js'
import { Random } from '../../src/random.js'
import { ask, lacking } from './oracle.js'

const at = (random: Random) => [0, 1, 2].map(() => random.uniform(-50, 50)) as unknown as Mark['place']

function detector(seed: number, scanCount: number, marksEach: number) {
  const random = new Random(seed, 'test/detector')
  const scans = Array.from({ length: scanCount }, (_, i) => `s${i}`)
  const nodules: Nodule[] = []
  const marks: Mark[] = []
  for (const [i, scan] of scans.entries()) {
    for (let n = i === 0 ? 1 : random.integer(0, 4); n > 0; n--) {
      const nodule = { scan, centre: at(random), radius: random.uniform(3, 15) }
      nodules.push(nodule)
      // Some found once, some twice, some not; scores are rounded so that some tie.
      for (let k = random.integer(0, 3); k > 0; k--) {
        const place = nodule.centre.map((value) => value + random.uniform(-6, 6)) as unknown as Mark['place']
        marks.push({ scan, place, score: Math.round(20 * random.uniform(0.2, 1)) / 20 })
      }
    }
    for (let k = 0; k < marksEach; k++)
      marks.push({ scan, place: at(random), score: Math.round(20 * random.uniform(0, 0.8)) / 20 })
  }
  const ignored = scans.slice(0, 5).map((scan) => ({ scan, centre: at(random), radius: 20 }))
  return { scans, nodules, ignored, marks }
}

const absent = lacking('free-response curves against NumPy', 'numpy')

// Straight from the definition: at every threshold, everything is counted again.
const reference = `
import numpy as np
answer = []
for case in asked:
    def inside(mark, ball):
        return mark['scan'] == ball['scan'] and sum((a - b) ** 2 for a, b in zip(mark['place'], ball['centre'])) < ball['radius'] ** 2
    marks = case['marks']
    hit = [[inside(m, n) for n in case['nodules']] for m in marks]
    excused = [any(h) or any(inside(m, b) for b in case['ignored']) for m, h in zip(marks, hit)]
    fps, tps = [0.0], [0.0]
    for t in sorted({m['score'] for m in marks}, reverse=True):
        on = [i for i, m in enumerate(marks) if m['score'] >= t]
        fps.append(sum(not excused[i] for i in on) / len(case['scans']))
        tps.append(sum(any(hit[i][k] for i in on) for k in range(len(case['nodules']))) / len(case['nodules']))
    # Of points above each other the highest.
    last = [i for i in range(len(fps)) if i + 1 == len(fps) or fps[i + 1] > fps[i]]
    answer.append(np.interp(case['rates'], [fps[i] for i in last], [tps[i] for i in last]).tolist())
`

describe('free-response curves', () => {
  it.skipIf(absent)('have the sensitivities of counting everything at every threshold', () => {
    const sets = [detector(1, 30, 12), detector(2, 8, 3), detector(3, 50, 1), detector(4, 3, 40)]
    const told = ask<number[][]>(
      reference,
      sets.map((set) => ({ ...set, rates })),
    )
    for (const [i, { scans, nodules, ignored, marks }] of sets.entries()) {
      const { sensitivities, mean, curve } = frocOf(matchMarks(scans, nodules, ignored, marks), 0)
      for (const [k, value] of sensitivities.entries()) expect(value).toBeCloseTo(told[i]![k]!, 12)
      expect(mean).toBeCloseTo(told[i]!.reduce((sum, value) => sum + value, 0) / rates.length, 12)
      expect(curve.length).toBeGreaterThan(5)
    }
  })

  it('counts a nodule once, with its best mark, and what is ignored for nothing', () => {
    const nodules = [{ scan: 'a', centre: [0, 0, 0] as const, radius: 5 }]
    const ignored = [{ scan: 'a', centre: [100, 0, 0] as const, radius: 5 }]
    const marks: Mark[] = [
      { scan: 'a', place: [1, 0, 0], score: 0.4 },
      { scan: 'a', place: [0, 4, 0], score: 0.9 },
      { scan: 'a', place: [0, 5, 0], score: 0.8 },
      { scan: 'a', place: [101, 0, 0], score: 0.7 },
      { scan: 'b', place: [0, 0, 0], score: 0.6 },
    ]
    const [a, b] = matchMarks(['a', 'b'], nodules, ignored, marks)
    expect(a).toMatchObject({ nodules: [{ score: 0.9 }], falsePositives: [0.8], ignored: 2 })
    expect(b).toMatchObject({ nodules: [], falsePositives: [0.6], ignored: 0 })
  })

  it('repeats its interval by the seed, around the mean', () => {
    const { scans, nodules, ignored, marks } = detector(1, 30, 12)
    const finds = matchMarks(scans, nodules, ignored, marks)
    const { mean, interval } = frocOf(finds, 7)
    expect(frocOf(finds, 7).interval).toEqual(interval)
    expect(interval![0]).toBeLessThan(mean)
    expect(interval![1]).toBeGreaterThan(mean)
  })
})
