import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { forwardFlops } from '../../src/learning/flops.js'
import { publishedYNet } from '../../src/nn/index.js'
import { root } from '../cli/run.js'

const pages = [
  ...['README.md', 'cuda/README.md', 'bench/results/README.md'].map((page) => join(root, page)),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, 'docs', name)),
]

describe.each(pages.map((page) => relative(root, page)))('%s', (page) => {
  const text = readFileSync(join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!).filter((link) => !/^https?:/.test(link))

  it('links to what exists', () => {
    for (const link of links) {
      const target = join(root, dirname(page), link.replace(/#.*/, ''))
      expect(existsSync(target), link).toBe(true)
    }
  })

  it('shows pictures that can be drawn, and says what is on them', async () => {
    for (const [, told, link] of text.matchAll(/!\[([^\]]*)\]\(([^)\s]+)\)/g)) {
      expect(told, link).not.toBe('')
      const { width, format } = await sharp(join(root, dirname(page), link!)).metadata()
      expect(format).toBe('svg')
      expect(width).toBeGreaterThan(400)
    }
  })
})

it('a picture names a table that is there', () => {
  const folder = join(root, 'docs/pictures')
  for (const name of readdirSync(folder)) {
    const file = /bench\/results\/[\w.-]+\.json/.exec(readFileSync(join(folder, name), 'utf8'))?.[0]
    expect(file, name).toBeDefined()
    expect(existsSync(join(root, file!)), file).toBe(true)
  }
})

it('the operations that performance.md tells are those of the published network', () => {
  // As many again for the gradients of the data, which the image itself needs none of, and of the weights.
  const whole = 3 * forwardFlops(publishedYNet(), { decoder: true, head: true }) - 2 * 131_072 * 27 * 32
  // Forward, of a level's transposed convolution and the half of the convolution that reads it; composed, 8 taps.
  const levels = [0, 1, 2].map((level) => {
    const voxels = 131_072 / 8 ** level
    const [below, out] = [128 * 2 ** level, 64 * 2 ** level]
    return [2 * voxels * (below * below + 27 * below * out), 2 * voxels * 8 * below * out] as const
  })
  const saved = 3 * levels.reduce((sum, [two, composed]) => sum + two - composed, 0)
  const text = readFileSync(join(root, 'docs/performance.md'), 'utf8')
  expect(text).toContain(`from ${(whole / 1e12).toFixed(3)} to ${((whole - saved) / 1e12).toFixed(3)} TFLOP`)
  for (const [two, composed] of levels)
    expect(text).toContain(`| ${(two / 1e9).toFixed(1)} GFLOP | ${(composed / 1e9).toFixed(1)} GFLOP |`)
})
