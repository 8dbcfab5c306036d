import { readdirSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  commandLineLayer,
  environmentLayer,
  recipeNames,
  resolveOptions,
  type TrainOptions,
  trainOptions,
} from '../../src/config/index.js'
import { train } from '../../src/training/train.js'
import { refuseUnused } from '../../src/training/unused-options.js'
import { newFolder } from './fixture.js'

function options(given: Record<string, unknown>, environment: Record<string, string> = {}): TrainOptions {
  const line = commandLineLayer(trainOptions, { source: ['scans'], out: 'run', ...given })
  return resolveOptions(trainOptions, line, environmentLayer(trainOptions, environment))
}

const genesis = { recipe: 'models-genesis' }

describe('an option that would do nothing', () => {
  it.each<[string, Record<string, unknown>]>([
    ['--classes', { classes: 5 }],
    ['--neighbours', { neighbours: 5 }],
    ['--frame', { frame: 'voxel' }],
    ['--embedding-skips', { embeddingSkips: true }],
    ['--density', { density: 0.1 }],
    ['--patterns', { patterns: 'patterns.json' }],
    ['--stages', { stages: 'joint' }],
    ['--restoration-weight', { restorationWeight: 2 }],
    ['--classification-weight', { classificationWeight: 0 }],
  ])('is refused: %s of models-genesis', (name, given) => {
    expect(() => refuseUnused(options({ ...genesis, ...given }))).toThrow(
      `The recipe models-genesis has no use for ${name}: leave it away, or see --semantics.`,
    )
    // With patterns it is of use, but for what discovers them where they are given.
    refuseUnused(options({ ...genesis, semantics: true, ...given }))
  })

  it('is refused with all others in one sentence, whether the environment or the command line gave it', () => {
    const asked = options({ ...genesis, classes: 5 }, { SEMGEN_STAGES: 'joint' })
    expect(() => refuseUnused(asked)).toThrow(
      'The recipe models-genesis has no use for --classes and --stages: leave them away, or see --semantics.',
    )
  })

  it('is refused where --semantics would not help', () => {
    const refused = (given: Record<string, unknown>) => expect(() => refuseUnused(options(given)))
    refused({ recipe: 'classification', restorationWeight: 2 }).toThrow(
      'The recipe classification has no use for --restoration-weight: leave it away.',
    )
    refused({ recipe: 'rotation', stages: 'joint' }).toThrow(
      'The recipe rotation has no use for --stages: leave it away.',
    )
    refused({ semantics: true }).toThrow('The recipe semantic-genesis has no use for --semantics: leave it away.')
  })

  it('is refused of a schedule that is not taken', () => {
    const refused = (given: Record<string, unknown>) => expect(() => refuseUnused(options({ halveEvery: 5, ...given })))
    refused({ schedule: 'cosine' }).toThrow(/^--halve-every is for --schedule step, and .* by --schedule cosine/)
    refused({ maxTime: '1h' }).toThrow(/by --schedule cosine/)
    refused({ maxTime: '1h', schedule: 'step' }).not.toThrow()
    refused({}).not.toThrow()
  })

  it('is refused of a discovery where patterns are given', () => {
    const asked = options({ patterns: 'patterns.json', classes: 5, borders: '1x1x1' })
    expect(() => refuseUnused(asked)).toThrow(/none are discovered, which is all that --classes and --borders are for/)
    refuseUnused(options({ patterns: 'patterns.json', patch: '16x16x16' }))
  })

  it.each(recipeNames)('is no default, and none that another run saved: %s', (recipe) => {
    refuseUnused(options({ recipe, patch: '16x16x16', epochs: 4 }))
    const saved = resolveOptions(trainOptions, commandLineLayer(trainOptions, { ...options({ recipe }) }))
    refuseUnused(saved)
  })

  it('is refused before anything is read or written', async () => {
    const out = newFolder()
    await expect(train(options({ ...genesis, classes: 5, source: ['/nowhere'], out }))).rejects.toThrow(
      /no use for --classes/,
    )
    expect(readdirSync(out)).toEqual([])
    rmSync(out, { recursive: true })
  })
})
