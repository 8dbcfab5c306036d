import { expect, it } from 'vitest'
import { commandLineLayer, discoverOptions, resolveOptions, resumedOptions } from '../../src/config/index.js'

const asked = (given: Record<string, unknown>) =>
  resolveOptions(discoverOptions, commandLineLayer(discoverOptions, { source: ['scans'], out: 'run', ...given }))
const saved = JSON.parse(JSON.stringify(asked({ seed: 7, classes: 20 }))) as ReturnType<typeof asked>

it('a resumed run keeps its options where nothing is given', () => {
  expect(resumedOptions(discoverOptions, saved, asked({ resume: true }))).toMatchObject({
    seed: 7,
    classes: 20,
    resume: true,
  })
  expect(resumedOptions(discoverOptions, saved, asked({ seed: 7 }))).toMatchObject({ seed: 7 })
})

it.each([5, discoverOptions.seed.fallback])(
  'a seed of %s is refused where another was begun with, though it be the default',
  (seed) => {
    expect(() => resumedOptions(discoverOptions, saved, asked({ seed }))).toThrow(
      `--seed: ${seed} now, but the run was begun with 7`,
    )
  },
)
