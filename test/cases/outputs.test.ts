import { describe, expect, it } from 'vitest'
import { labelWriter, outputCodes, segmentationOutputs } from '../../src/cases/outputs.js'

describe('the outputs of a segmentation', () => {
  it('are every label found, the labels asked for, or groups of labels', () => {
    expect(segmentationOutputs(undefined, [1, 4])).toEqual([
      { name: 'label 1', labels: [1] },
      { name: 'label 4', labels: [4] },
    ])
    expect(segmentationOutputs('4', [1, 4])).toEqual([{ name: 'label 4', labels: [4] }])
    const groups = segmentationOutputs('whole=1,2,4;core=1,4', [1, 2, 4])
    expect(groups).toEqual([
      { name: 'whole', labels: [1, 2, 4] },
      { name: 'core', labels: [1, 4] },
    ])
    const { codes } = outputCodes(groups)
    expect([0, 1, 2, 3, 4].map((label) => codes[label])).toEqual([0, 3, 1, 0, 3])
  })

  it.each([
    ['7', /label 7 of label 7 is in no training case, which have 1, 2/],
    ['one', /--labels takes labels from 1 to 255/],
    ['0', /--labels takes labels from 1 to 255/],
    ['a=1;a=2', /names the output "a" more than once/],
    ['a=1;b', /--labels takes labels/],
  ])('%s is refused in one sentence', (asked, sentence) => {
    expect(() => segmentationOutputs(asked, [1, 2])).toThrow(sentence)
  })

  it('write the most probable label, or the innermost group', () => {
    const labels = labelWriter(segmentationOutputs('2,5', [2, 5]))
    const groups = labelWriter(segmentationOutputs('whole=1,2;core=1', [1, 2]))
    const of = (write: typeof labels, ...p: number[]) => write(Float32Array.from([9, ...p]), 1)
    expect([of(labels, 0.4, 0.5), of(labels, 0.6, 0.7), of(labels, 0.7, 0.6)]).toEqual([0, 5, 2])
    expect([of(groups, 0.9, 0.4), of(groups, 0.9, 0.6), of(groups, 0.4, 0.4)]).toEqual([1, 2, 0])
  })
})
