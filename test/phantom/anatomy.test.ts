import { beforeAll, describe, expect, it } from 'vitest'
import {
  type LabelName,
  labelNames,
  labelOf,
  makeScan,
  type PlannedScan,
  planScan,
  type Scan,
} from '../../src/phantom/index.js'

/** A native and a venous scan, as large as they come by default. */
let made: { plan: PlannedScan; scan: Scan }[]

beforeAll(async () => {
  const plans = [1, 2, 3, 4, 5, 6, 7, 8].map((index) => planScan(7, index, 3))
  const chosen = (['native', 'venous'] as const).map((phase) => plans.find(({ patient }) => patient.phase === phase)!)
  made = []
  for (const plan of chosen) made.push({ plan, scan: await makeScan(plan) })
})

/** HU of an organ's voxels, sorted. */
function values({ hu, labels }: Scan, name: LabelName): Int16Array {
  const label = labelOf(name)
  return hu.filter((_, i) => labels[i] === label).sort()
}

const median = (sorted: Int16Array): number => sorted[sorted.length >> 1]!

describe('Hounsfield units', () => {
  // Medians, since voxels at an organ's border are mixed. Ranges as textbooks give them, without contrast agent and in
  // the portal venous phase; of a kidney, only the upper pole may be in the scan, so that most of it is border.
  const ranges: Partial<Record<LabelName, readonly [number, number]>> = {
    background: [-1024, -940],
    fat: [-125, -65],
    muscle: [35, 75],
    'right lung': [-900, -700],
    'left lung': [-900, -700],
    heart: [25, 160],
    aorta: [25, 180],
    'great vessels': [15, 180],
    liver: [40, 120],
    spleen: [35, 135],
    'right kidney': [5, 200],
    'left kidney': [5, 200],
    'spinal canal': [-5, 60],
    vertebrae: [150, 450],
    ribs: [200, 800],
    sternum: [150, 500],
    'shoulder girdle': [200, 800],
    'costal cartilage': [50, 200],
  }

  it.each(Object.entries(ranges))('of %s are those of a CT', (name, [low, high]) => {
    for (const { scan } of made) {
      const found = values(scan, name as LabelName)
      expect(found.length).toBeGreaterThan(0)
      expect(median(found)).toBeGreaterThan(low)
      expect(median(found)).toBeLessThan(high)
    }
  })

  it('tell lung, soft tissue and bone apart by their means', () => {
    const mean = (sorted: Int16Array): number => sorted.reduce((sum, value) => sum + value, 0) / sorted.length
    for (const { scan } of made) {
      expect(mean(values(scan, 'left lung'))).toBeLessThan(-600)
      for (const bone of ['vertebrae', 'ribs', 'shoulder girdle'] as const)
        expect(mean(values(scan, bone))).toBeGreaterThan(200)
    }
  })

  it('of blood and what it fills rise with contrast agent', () => {
    const [native, venous] = made as [(typeof made)[0], (typeof made)[0]]
    for (const name of ['aorta', 'right kidney', 'liver', 'spleen'] as const)
      expect(median(values(venous.scan, name))).toBeGreaterThan(median(values(native.scan, name)) + 20)
    for (const name of ['fat', 'left lung'] as const)
      expect(Math.abs(median(values(venous.scan, name)) - median(values(native.scan, name)))).toBeLessThan(80)
  })

  it('scatter about a uniform organ as the noise says', () => {
    for (const { plan, scan } of made) {
      const found = values(scan, 'liver')
      // The middle half of a normal distribution is 1.35 standard deviations wide. Vessels and unevenness add to it, and
      // off the body's axis noise is weaker.
      const spread = (found[(found.length * 3) >> 2]! - found[found.length >> 2]!) / 1.35
      expect(spread).toBeGreaterThan(0.6 * plan.acquisition.noise)
      expect(spread).toBeLessThan(1.3 * plan.acquisition.noise + 10)
    }
  })
})

describe('anatomy', () => {
  /** The mean place of a label in body axes: left, back, up, in millimetres. */
  function centre({ plan, scan }: (typeof made)[0], name: LabelName): [number, number, number] {
    const [, Y, Z] = scan.shape
    const label = labelOf(name)
    const sum = [0, 0, 0]
    let count = 0
    for (const [index, at] of scan.labels.entries()) {
      if (at !== label) continue
      sum[0]! += Math.floor(index / (Y * Z))
      sum[1]! += Math.floor(index / Z) % Y
      sum[2]! += index % Z
      count++
    }
    return sum.map((value, axis) => (value / count) * plan.acquisition.spacing[axis]!) as [number, number, number]
  }

  it('is where it is in people', () => {
    for (const one of made) {
      const at = (name: LabelName) => centre(one, name)
      expect(at('liver')[0]).toBeLessThan(at('spleen')[0] - 80)
      expect(at('right lung')[0]).toBeLessThan(at('left lung')[0] - 80)
      expect(at('heart')[0]).toBeGreaterThan((at('right lung')[0] + at('left lung')[0]) / 2)
      expect(at('vertebrae')[1]).toBeGreaterThan(at('heart')[1] + 50)
      expect(at('spinal canal')[1]).toBeGreaterThan(at('discs')[1])
      expect(at('sternum')[1]).toBeLessThan(at('heart')[1])
      expect(at('right lung')[2]).toBeGreaterThan(at('liver')[2] + 60)
      expect(at('shoulder girdle')[2]).toBeGreaterThan(at('heart')[2] + 50)
      expect(at('right kidney')[2]).toBeLessThan(at('heart')[2])
    }
  })

  it('has ribs around the lungs, in slices through their middle', () => {
    for (const { scan } of made) {
      const [X, Y, Z] = scan.shape
      const extent = (z: number, ...names: LabelName[]): [number, number] => {
        const wanted = names.map(labelOf)
        let [low, high] = [X, 0]
        for (let x = 0; x < X; x++)
          for (let y = 0; y < Y; y++)
            if (wanted.includes(scan.labels[(x * Y + y) * Z + z]!)) {
              low = Math.min(low, x)
              high = Math.max(high, x)
            }
        return [low, high]
      }
      let around = 0
      for (let z = Math.round(Z * 0.45); z < Z * 0.65; z++) {
        const lungs = extent(z, 'left lung', 'right lung')
        const ribs = extent(z, 'ribs')
        if (ribs[0] < lungs[0] && ribs[1] > lungs[1]) around++
      }
      expect(around).toBeGreaterThan(0.9 * Math.floor(Z * 0.2))
    }
  })

  it('is one body, with one heart, one liver, one right and one left lung', () => {
    for (const { scan } of made) {
      expect(largestShare(scan)).toBe(1)
      for (const name of ['heart', 'liver', 'spleen', 'right lung', 'left lung', 'spinal canal', 'aorta'] as const)
        expect(largestShare(scan, labelOf(name))).toBeGreaterThan(0.97)
    }
  })

  it('shows every organ that a scan of chest and upper belly shows', () => {
    for (const { scan } of made) {
      const seen = new Set(scan.labels)
      // Pancreas, gallbladder and bowel may lie below the last slice.
      const optional = ['pancreas', 'gallbladder', 'bowel', 'nodule']
      for (const [value, name] of labelNames.entries())
        expect(seen.has(value) || optional.includes(name), name).toBe(true)
    }
  })
})

/** The largest connected piece (through faces) as a share of all voxels of a label, or of all but the background. */
function largestShare({ labels, shape }: Scan, wanted?: number): number {
  const [, Y, Z] = shape
  const open = labels.map((label) => Number(wanted === undefined ? label > 0 : label === wanted))
  let all = 0
  for (const one of open) all += one
  let largest = 0
  const stack = new Int32Array(open.length)
  let height = 0
  const visit = (at: number): void => {
    if (!open[at]) return
    open[at] = 0
    stack[height++] = at
  }
  for (let first = 0; first < open.length; first++) {
    if (!open[first]) continue
    let size = 0
    for (visit(first); height > 0; size++) {
      const at = stack[--height]!
      const y = Math.floor(at / Z) % Y
      const z = at % Z
      visit(at - Y * Z)
      visit(at + Y * Z)
      if (y > 0) visit(at - Z)
      if (y < Y - 1) visit(at + Z)
      if (z > 0) visit(at - 1)
      if (z < Z - 1) visit(at + 1)
    }
    largest = Math.max(largest, size)
  }
  return largest / all
}

describe('patients', () => {
  it('differ in size, fat, place, voxels, coverage and noise', () => {
    const plans = Array.from({ length: 12 }, (_, i) => planScan(3, i + 1, 3))
    const spread = (measure: (plan: PlannedScan) => number): number => {
      const all = plans.map(measure)
      return (Math.max(...all) - Math.min(...all)) / Math.abs(all.reduce((sum, value) => sum + value, 0) / all.length)
    }
    expect(spread(({ patient }) => patient.scale[0])).toBeGreaterThan(0.08)
    expect(spread(({ patient }) => patient.fat)).toBeGreaterThan(0.5)
    expect(spread(({ acquisition }) => acquisition.spacing[0])).toBeGreaterThan(0.08)
    expect(spread(({ acquisition }) => acquisition.spacing[2])).toBeGreaterThan(0.08)
    expect(spread(({ acquisition }) => acquisition.noise)).toBeGreaterThan(0.4)
    for (const axis of [0, 1, 2] as const)
      expect(new Set(plans.map(({ acquisition }) => acquisition.shape[axis])).size).toBeGreaterThan(6)
    expect(new Set(plans.map(({ patient }) => patient.phase)).size).toBe(2)
    expect(new Set(plans.map(({ nodules }) => nodules.length)).size).toBeGreaterThan(2)
  })

  it('are the same when drawn again, and independent of how many there are', async () => {
    const size = [40, 32, 24] as const
    const first = await makeScan(planScan(9, 7, 3, size))
    await makeScan(planScan(9, 3, 3, size))
    const again = await makeScan(planScan(9, 7, 3, size))
    expect(again).toEqual(first)
    const otherSeed = await makeScan(planScan(10, 7, 3, size))
    expect(otherSeed.hu).not.toEqual(first.hu)
  })
})
