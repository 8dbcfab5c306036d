import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  commandLineLayer,
  compareOptions,
  environmentLayer,
  fileLayer,
  finetuneOptions,
  givenAs,
  type Layer,
  predictOptions,
  presetLayer,
  resolveOptions,
} from '../../src/config/index.js'
import { compare } from '../../src/transfer/compare.js'
import { finetune } from '../../src/transfer/finetune.js'
import { checkFinetuneOptions, checkTaskOptions } from '../../src/transfer/task-options.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'semgen-task-options-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const resolved = (given: object, ...layers: Layer[]) =>
  resolveOptions(
    finetuneOptions,
    commandLineLayer(finetuneOptions, { data: 'none', out: join(folder, 'run'), ...given }),
    ...layers,
  )
const checked = (given: object, ...layers: Layer[]) => {
  const options = resolved(given, ...layers)
  return () => checkFinetuneOptions(finetuneOptions, options, options)
}

describe('an option of the other task', () => {
  it.each([
    ['segment', { fit: 'crop' }, '--fit is for --task classify, and this is --task segment: leave it out.'],
    ['segment', { fit: 'resize' }, /^--fit is for --task classify/],
    ['segment', { classWeights: 'balanced' }, /^--class-weights is for --task classify/],
    ['segment', { candidates: 'c.csv' }, /^--candidates is for --task classify, .*: places in scans have classes/],
    ['classify', { loss: 'dice' }, '--loss is for --task segment, and this is --task classify: leave it out.'],
    ['classify', { foreground: 0.3 }, /^--foreground is for --task segment/],
    ['classify', { overlap: 0.2 }, /^--overlap is for --task segment/],
    ['classify', { labels: '1' }, /^--labels is for --task segment, .*: classes are those of the labels in --data/],
  ])('is refused by finetune --task %s: %j', async (task, given, sentence) => {
    expect(checked({ task, ...given })).toThrow(sentence)
    await expect(finetune(resolved({ task, ...given }))).rejects.toThrow(sentence)
  })

  it('is refused by compare before it replaces anything', async () => {
    const out = join(folder, 'compared')
    const given = { data: 'none', init: 'scratch', out, loss: 'dice', task: 'classify' }
    const layer = commandLineLayer(compareOptions, given)
    await expect(compare(resolveOptions(compareOptions, layer))).rejects.toThrow(/^--loss is for --task segment/)
  })

  it.each([
    ['segment', { part: 'val' }, '--part is for weights that classify, and w.pt segments: leave it out.'],
    ['classify', { overlap: 0.3 }, '--overlap is for weights that segment, and w.pt classifies: leave it out.'],
    ['classify', { probabilities: true }, /^--probabilities is for .*: predictions.csv has those of every class/],
    ['classify', { format: 'nifti' }, /^--format is for weights that segment/],
  ] as const)('is refused by predict with weights that %s: %j', (task, given, sentence) => {
    const layer = commandLineLayer(predictOptions, { images: ['i'], weights: ['w.pt'], out: 'o', ...given })
    const options = resolveOptions(predictOptions, layer)
    expect(() => checkTaskOptions(predictOptions, options, task, 'w.pt')).toThrow(sentence)
  })

  it('counts as given in a file and in the environment, and not as a default or in a preset', async () => {
    const path = join(folder, 'own.yaml')
    writeFileSync(path, 'batch: 2\nfit: resize\n')
    expect(checked({}, await fileLayer(finetuneOptions, path))).toThrow(/own.yaml:2: fit is for --task classify/)
    expect(checked({}, environmentLayer(finetuneOptions, { SEMGEN_FIT: 'crop' }))).toThrow(/^SEMGEN_FIT is for --task/)
    // A run's own record has every option.
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ options: resolved({ batch: 2 }) }))
    expect(checked({}, await fileLayer(finetuneOptions, join(folder, 'config.json')))).not.toThrow()
    const preset = presetLayer(finetuneOptions, 'hippocampus')
    expect(resolved({ task: 'classify' }, preset)).toMatchObject({ labels: '1,2', augmentStrength: 'strong' })
    for (const options of [{ task: 'classify' }, { task: 'classify', augment: 'none' }, {}])
      expect(checked(options, preset)).not.toThrow()
    // The runs of a comparison have options made of its own.
    const options = resolved({ task: 'classify' }, preset)
    expect(() => checkTaskOptions(finetuneOptions, givenAs(options, { ...options, seed: 3 }), 'classify')).not.toThrow()
  })

  it('is told from its value where options were written down in code', () => {
    const options = { ...resolved({}) }
    expect(() => checkTaskOptions(finetuneOptions, options, 'segment')).not.toThrow()
    expect(() => checkTaskOptions(finetuneOptions, { ...options, fit: 'crop' }, 'segment')).toThrow(/^--fit is for/)
  })
})

it('--augment-strength is refused beside augmentations that have none', () => {
  const sentence =
    '--augment-strength is for rotations, scaling and intensity, and --augment none has none of them: leave one of the two out.'
  expect(checked({ augment: 'none', augmentStrength: 'strong' })).toThrow(sentence)
  expect(checked({ augment: 'sides,flips', augmentStrength: 'mild' })).toThrow(/--augment sides,flips has none of them/)
  expect(checked({ augment: 'flips,scaling', augmentStrength: 'strong' })).not.toThrow()
  expect(checked({ augmentStrength: 'strong' })).not.toThrow()
})

it.each([
  [{ task: 'classify', candidates: 'c.csv', fit: 'crop' }, /^--fit is for whole images, and --candidates cuts a cube/],
  [{ task: 'classify', data: 'a.npz', modality: 'mr' }, /^--modality is for scans, and the images of a.npz have/],
  [{ task: 'classify', data: 'a.npz', spacing: '1x1x1' }, /^--spacing is for scans/],
])('what the images leave nothing to do for is refused: %j', (given, sentence) => {
  expect(checked(given)).toThrow(sentence)
})
