import { describe, expect, it } from 'vitest'
import { forwardFlops, trainingFlops } from '../../src/learning/flops.js'
import { type NetworkShape, publishedUNet, publishedYNet } from '../../src/nn/index.js'
import { depthFor, fitBatch, fitSize, nightSeconds, partOf } from '../../src/training/fit.js'
import { stepsOf } from '../../src/training/plan.js'
import { describePlan, makePlan, type PlanSituation, type PlanWishes, secondsOf } from '../../src/training/planning.js'
import type { StageLosses } from '../../src/training/recipes.js'
import { finetuneDepth } from '../../src/transfer/network-size.js'

const classification: StageLosses = { name: 'classification', restorationWeight: 0, classificationWeight: 1 }
const joint: StageLosses = { name: 'joint', restorationWeight: 1, classificationWeight: 0.01 }

describe('forwardFlops', () => {
  // METHOD §2 gives 251.5 GFLOP for one cube of the published Y-Net; the head's convolution is 2.9 % of it.
  it('counts the published network as its paper does', () => {
    const both = forwardFlops(publishedYNet(44), { decoder: true, head: true })
    expect(both / 1e9).toBeCloseTo(251.5, 0)
    const head = both - forwardFlops(publishedYNet(44), { decoder: true, head: false })
    expect(head / both).toBeCloseTo(0.029, 3)
    expect(forwardFlops(publishedUNet(), { decoder: true, head: false })).toBe(both - head)
  })

  it('follows width and patch', () => {
    const small: NetworkShape = { ...publishedYNet(44), baseWidth: 16, patch: [32, 32, 16] }
    const ratio = trainingFlops(publishedYNet(44), joint) / trainingFlops(small, joint)
    // A quarter of the channels' products, an eighth of the voxels; the first convolution, a thousandth, halves only.
    expect(ratio).toBeGreaterThan(31.5)
    expect(ratio).toBeLessThan(32)
  })
})

describe('fitSize', () => {
  const patch = [64, 64, 32] as const
  const at = (flopsPerSecond: number, seconds: number) =>
    fitSize({}, { patch, seconds, flopsPerSecond, losses: joint }).size

  it('takes the published width on a fast device, and smaller networks where time is short', () => {
    expect(at(100e12, nightSeconds)).toEqual({ baseWidth: 32, depth: 4, patch: [64, 64, 32] })
    expect(at(200e9, 1800).baseWidth).toBe(16)
    expect(at(200e9, 1800).patch).toEqual([32, 32, 16])
    expect(at(20e9, 120).baseWidth).toBe(8)
  })

  it('keeps what is wished for', () => {
    const wishes = { baseWidth: 20, patch: [48, 48, 24] as const }
    const { size, why } = fitSize(wishes, { patch, seconds: 60, flopsPerSecond: 1e9, losses: joint })
    expect(size).toEqual({ baseWidth: 20, depth: 4, patch: [48, 48, 24] })
    expect(why).toMatch(/^Depth 4: /)
  })

  it('makes patches smaller in multiples of what the network halves, two voxels wide at the bottleneck', () => {
    expect(partOf([64, 64, 32], 4, 1)).toEqual([64, 64, 32])
    expect(partOf([64, 64, 32], 4, 0.75)).toEqual([48, 48, 24])
    expect(partOf([32, 32, 24], 4, 0.5)).toEqual([16, 16, 16])
    expect(partOf([24, 24, 24], 5, 1)).toEqual([32, 32, 32])
    expect([depthFor([24, 32, 24]), depthFor([24, 24, 12]), depthFor([10, 10, 10])]).toEqual([4, 3, 2])
  })

  it('leaves four at the bottleneck of a fine-tuning, whose batches are small', () => {
    const patches = [
      [32, 64, 32],
      [16, 16, 16],
      [24, 32, 24],
      [8, 8, 8],
      [10, 10, 10],
    ] as const
    expect(patches.map((patch) => finetuneDepth(patch))).toEqual([4, 3, 3, 2, 2])
  })
})

describe('fitBatch', () => {
  const plenty = { cubes: 1e9, pass: 26_400, bytesPerCube: 1, memory: 1e12 }
  it('is 64, or what crops, memory and the number of steps allow', () => {
    expect(fitBatch(plenty)).toBe(64)
    expect(fitBatch({ ...plenty, pass: 50 })).toBe(32)
    expect(fitBatch({ ...plenty, bytesPerCube: 1e9, memory: 9e9 })).toBe(8)
    expect(fitBatch({ ...plenty, cubes: 60_000 })).toBe(16)
    expect(fitBatch({ ...plenty, cubes: 100 })).toBe(16)
    expect(fitBatch({ ...plenty, bytesPerCube: 1e12, memory: 1 })).toBe(1)
  })
})

describe('makePlan', () => {
  const wishes: PlanWishes = { learningRate: 1e-3, halveEvery: 40, patience: 50 }
  const costs = [
    { secondsPerStep: 0.5, secondsPerValidationCube: 0.01, bytes: 1e9 },
    { secondsPerStep: 1, secondsPerValidationCube: 0.03, bytes: 2e9 },
  ]
  const situation: PlanSituation = {
    losses: [classification, joint],
    costs,
    batch: 8,
    trainingCrops: 300,
    validationCrops: 60,
  }

  it('is the published one when nobody says otherwise', () => {
    const { plan } = makePlan(wishes, situation)
    expect(plan.stages.map(({ name, epochs, stepsPerEpoch }) => [name, epochs, stepsPerEpoch])).toEqual([
      ['classification', 50, 38],
      ['joint', 150, 38],
    ])
    expect(plan.stages[1]!.schedule).toEqual({ kind: 'step', learningRate: 1e-3, every: 40, factor: 0.5 })
    expect(plan.validationCubes).toBe(60)
    // 0.1 at batches of 64: an average over as many cubes.
    expect(plan.stages[1]!.normMomentum).toBe(0.1 / 8)
  })

  it.each([60, 600, 1800, 36_000])('fits %d seconds, and uses most of them', (seconds) => {
    const { plan, seconds: expected } = makePlan(wishes, { ...situation, seconds })
    expect(expected).toBeLessThanOrEqual(seconds)
    expect(expected).toBeGreaterThan(0.75 * seconds)
    const [first, second] = plan.stages
    expect(first!.epochs / (first!.epochs + second!.epochs)).toBeCloseTo(0.25, 1)
    expect(first!.epochs + second!.epochs).toBeGreaterThanOrEqual(15)
    expect(first!.epochs + second!.epochs).toBeLessThanOrEqual(200)
    expect(second!.schedule.kind).toBe('cosine')
    const validating = plan.stages.reduce(
      (sum, { epochs }, i) => sum + epochs * plan.validationCubes * costs[i]!.secondsPerValidationCube,
      0,
    )
    expect(validating).toBeLessThan(0.26 * expected)
  })

  it('keeps epochs, cubes and held-out cubes that are given', () => {
    const given = { ...wishes, epochs: 10, cubes: 80, validationCubes: 12 }
    const free = makePlan(given, situation).plan
    expect(free.stages.map(stepsOf)).toEqual([30, 70])
    expect(free.validationCubes).toBe(12)
    const hurried = makePlan(given, { ...situation, seconds: 30 }).plan
    expect(hurried.stages.map(({ epochs }) => epochs)).toEqual([3, 7])
    expect(secondsOf(hurried, costs)).toBeLessThanOrEqual(30)
  })

  it('has at least one step and one validation a stage, however short the time', () => {
    const { plan } = makePlan(wishes, { ...situation, seconds: 0.1 })
    expect(plan.stages.map(({ epochs }) => epochs)).toEqual([1, 1])
  })

  it('refuses fewer epochs than stages, which need one each', () => {
    expect(() => makePlan({ ...wishes, epochs: 1 }, situation)).toThrow(
      '--epochs 1 is for all stages together, and classification and joint need one each: give at least 2, or leave a stage out with --stages joint.',
    )
    const { plan } = makePlan({ ...wishes, epochs: 2 }, situation)
    expect(plan.stages.map(({ epochs }) => epochs)).toEqual([1, 1])
  })

  it('gives all epochs to a single stage', () => {
    const { plan } = makePlan({ ...wishes, epochs: 7 }, { ...situation, losses: [joint], costs: [costs[1]!] })
    expect(plan.stages.map(({ epochs }) => epochs)).toEqual([7])
  })

  it('is said in lines for people', () => {
    const { plan, seconds } = makePlan(wishes, { ...situation, seconds: 1800 })
    const text = describePlan(plan, publishedYNet(44), 'semantic-genesis', 300, { seconds, costs }).join('\n')
    expect(text).toContain('33,277,613 parameters')
    expect(text).toMatch(/1\.9 GiB of memory, about (2[2-9]|30) min/)
  })
})
