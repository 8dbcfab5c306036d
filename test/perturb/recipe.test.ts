import { describe, expect, it } from 'vitest'
import type { Extents } from '../../src/extents.js'
import { type Block, drawPerturbation, type PerturbationStep, quarterTurnsOf } from '../../src/perturb/draw.js'
import { modelsGenesisRecipe, namedRecipes, officialRecipe, parseRecipe } from '../../src/perturb/recipe.js'
import { Random } from '../../src/random.js'

const cube: Extents = [64, 64, 32]
const draws = 20_000

function drawn(recipe: Parameters<typeof drawPerturbation>[0], shape = cube, count = draws) {
  return Array.from({ length: count }, (_, sample) => drawPerturbation(recipe, new Random(9, 'draw', 0, sample), shape))
}

/** How often something happened is within five standard deviations of its probability. */
function expectShare(seen: number, of: number, probability: number): void {
  const deviation = Math.sqrt(of * probability * (1 - probability))
  expect(Math.abs(seen - of * probability), `${seen} of ${of}, expected ${probability}`).toBeLessThan(
    5 * deviation + 1e-9,
  )
}

type Kind = PerturbationStep['kind']
const ofKind = <K extends Kind>(steps: readonly PerturbationStep[], kind: K) =>
  steps.filter((step): step is Extract<PerturbationStep, { kind: K }> => step.kind === kind)

describe('the official recipe', () => {
  const all = drawn(officialRecipe)

  it('deforms always, then does exactly one of four things, each as often', () => {
    const seen = new Map<Kind, number>()
    for (const { flips, steps } of all) {
      expect(flips).toEqual([false, false, false])
      expect(steps.length).toBe(2)
      expect(steps[0]!.kind).toBe('elastic')
      seen.set(steps[1]!.kind, (seen.get(steps[1]!.kind) ?? 0) + 1)
    }
    expect([...seen.keys()].sort()).toEqual(['inpainting', 'nonlinear', 'outpainting', 'shuffling'])
    for (const count of seen.values()) expectShare(count, draws, 0.25)
  })

  it('has the published numbers', () => {
    const steps = all.flatMap((perturbation) => perturbation.steps)
    expect(ofKind(steps, 'elastic')[0]).toMatchObject({ sigma: [8, 8, 8], alpha: [991, 991] })
    expect(ofKind(steps, 'shuffling')[0]).toMatchObject({ blocks: 5, largest: [6, 6, 3] })
    const curves = ofKind(steps, 'nonlinear')
    expectShare(curves.filter(({ inverted }) => inverted).length, curves.length, 0.5)
    const sides = (kind: 'inpainting' | 'outpainting', value: (block: Block, axis: number) => number) => {
      const blocks = ofKind(steps, kind).flatMap((step) => step.blocks)
      expect(blocks.length).toBe(ofKind(steps, kind).length)
      return [0, 1, 2].map((axis) => {
        const values = blocks.map((block) => value(block, axis))
        return [Math.min(...values), Math.max(...values)]
      })
    }
    // d/6 .. d/3 of 64 and 32; d - (3d/7 .. 4d/7); starts 3 voxels from the border.
    expect(sides('inpainting', (block, axis) => block.size[axis]!)).toEqual([
      [10, 21],
      [10, 21],
      [5, 10],
    ])
    expect(sides('outpainting', (block, axis) => 64 / (axis === 2 ? 2 : 1) - block.size[axis]!)).toEqual([
      [27, 36],
      [27, 36],
      [13, 18],
    ])
    for (const kind of ['inpainting', 'outpainting'] as const) {
      for (const [least] of sides(kind, (block, axis) => block.start[axis]!)) expect(least).toBe(3)
      for (const [least] of sides(kind, (block, axis) => cube[axis]! - block.start[axis]! - block.size[axis]!))
        expect(least).toBe(3)
    }
  })
})

describe('the Models Genesis recipe', () => {
  const all = drawn(modelsGenesisRecipe)
  const with_ = (kind: Kind) => all.filter(({ steps }) => steps.some((step) => step.kind === kind)).length

  it('does each thing with its probability', () => {
    expectShare(with_('shuffling'), draws, 0.5)
    expectShare(with_('nonlinear'), draws, 0.9)
    expectShare(with_('outpainting'), draws, 0.9 * 0.8)
    expectShare(with_('inpainting'), draws, 0.9 * 0.2)
    expect(with_('elastic')).toBe(0)
    // Up to three flips, each with probability 0.4 and of a random axis; two of the same axis undo each other.
    const [once, twice, thrice] = [0.4 * 0.6, 0.4 ** 2 * 0.6, 0.4 ** 3]
    const odd = once / 3 + (twice * 2 * 2) / 9 + thrice * ((3 * 4) / 27 + 1 / 27)
    for (const axis of [0, 1, 2]) expectShare(all.filter(({ flips }) => flips[axis]).length, draws, odd)
  })

  it('paints one to five blocks, and shuffles ten thousand', () => {
    const steps = all.flatMap((perturbation) => perturbation.steps)
    const painted = [...ofKind(steps, 'inpainting'), ...ofKind(steps, 'outpainting')] as { blocks: readonly Block[] }[]
    for (const number of [1, 2, 3, 4])
      expectShare(
        painted.filter(({ blocks }) => blocks.length === number).length,
        painted.length,
        0.95 ** (number - 1) * 0.05,
      )
    expectShare(painted.filter(({ blocks }) => blocks.length === 5).length, painted.length, 0.95 ** 4)
    expect(ofKind(steps, 'shuffling')[0]).toMatchObject({ blocks: 10_000, largest: [6, 6, 3] })
  })
})

describe('draws', () => {
  it('repeat, are plain data, and differ from sample to sample', () => {
    const [first, second] = drawn(officialRecipe, cube, 2)
    expect(drawn(officialRecipe, cube, 1)[0]).toEqual(first)
    expect(second).not.toEqual(first)
    expect(JSON.parse(JSON.stringify(first))).toEqual(first)
  })

  it('fit cubes of any size', () => {
    for (const shape of [
      [1, 1, 1],
      [2, 3, 1],
      [8, 8, 8],
      [35, 50, 36],
      [7, 200, 11],
    ] as Extents[])
      for (const recipe of [officialRecipe, modelsGenesisRecipe])
        for (const { steps } of drawn(recipe, shape, 300))
          for (const step of steps) {
            if (step.kind === 'shuffling')
              expect(step.largest).toEqual(shape.map((extent) => Math.max(1, Math.floor(extent / 10))))
            if (step.kind !== 'inpainting' && step.kind !== 'outpainting') continue
            for (const { start, size } of step.blocks)
              for (const axis of [0, 1, 2]) {
                expect(size[axis]).toBeGreaterThanOrEqual(1)
                expect(start[axis]).toBeGreaterThanOrEqual(0)
                expect(start[axis]! + size[axis]!).toBeLessThanOrEqual(shape[axis]!)
              }
          }
  })

  it('turn by each quarter as often, and refuse to where a cube is not square', () => {
    const turns = drawn(namedRecipes.rotation, [32, 32, 24], 4000).map(quarterTurnsOf)
    for (const quarter of [0, 1, 2, 3]) expectShare(turns.filter((turn) => turn === quarter).length, 4000, 0.25)
    expect(() => drawn(namedRecipes.rotation, [35, 50, 36], 1)).toThrow(/35 x 50 x 36/)
  })

  it('scale an elastic deformation with the cube when asked', () => {
    const recipe = parseRecipe({
      name: 'x',
      stages: [{ oneOf: [{ share: 1, step: { kind: 'elastic', unit: 'cube' } }] }],
    })
    const deformation = (shape: Extents) => drawn(recipe, shape, 1)[0]!.steps[0]!
    expect(deformation([64, 64, 32])).toMatchObject({ sigma: [8, 8, 8], alpha: [991, 991] })
    // Half the size: half the displacement, of a field whose smoothing leaves 2^1.5 times the amplitude.
    const half = 991 / 2 / 2 ** 1.5
    const step = deformation([32, 32, 16]) as Extract<PerturbationStep, { kind: 'elastic' }>
    expect(step.sigma).toEqual([4, 4, 4])
    for (const alpha of step.alpha) expect(alpha).toBeCloseTo(half, 9)
  })
})

describe('recipes', () => {
  it('come by name or written out, with defaults', () => {
    expect(parseRecipe('official')).toBe(officialRecipe)
    for (const recipe of Object.values(namedRecipes))
      expect(parseRecipe(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe)
    expect(parseRecipe({ name: 'mine', stages: [] })).toEqual({
      name: 'mine',
      flip: { probability: 0, attempts: 3 },
      stages: [],
    })
  })

  it.each([
    ['semantic', /no perturbation recipe "semantic"; there are official, models-genesis/],
    [{ name: 'x' }, /recipe\.stages/],
    [{ name: 'x', stages: [{ probability: 2, oneOf: [] }] }, /recipe\.stages\.0\.probability/],
    [{ name: 'x', stages: [{ oneOf: [{ share: 0.5, step: { kind: 'elastic' } }] }] }, /shares must add up to 1/],
    [
      { name: 'x', stages: [{ oneOf: [{ share: 1, step: { kind: 'twist' } }] }] },
      /recipe\.stages\.0\.oneOf\.0\.step\.kind/,
    ],
    [{ name: 'x', stages: [{ oneOf: [{ share: 1, step: { kind: 'elastic', sigmas: 3 } }] }] }, /sigmas/],
    [{ name: 'x', stages: [{ oneOf: [{ share: 1, step: { kind: 'inpainting', side: [0.5, 0.2] } }] }] }, /side/],
  ])('refuse %o', (value, message) => {
    expect(() => parseRecipe(value)).toThrow(message)
    expect(() => parseRecipe(value)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }))
  })
})
