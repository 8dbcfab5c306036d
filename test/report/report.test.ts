import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeReport } from '../../src/report/index.js'
import { hostile, writeFakeRun } from './fake-run.js'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-report-'))
  await writeFakeRun(folder)
})
afterEach(() => rm(folder, { recursive: true }))

const report = async () => readFile(await writeReport(folder), 'utf8')

describe('a report', () => {
  it('tells how the run went', async () => {
    const text = await report()
    expect(text).toContain('Finished: 100 steps in 30 min 15 s, begun 2026-03-01 09:00 UTC, resumed once.')
    // Accuracy 0.95 * (1 - 0.9 exp(-100 / 40)) = 87.98 % among 8 classes.
    expect(text).toContain('88.0 %')
    expect(text).toContain('7.04 times chance among 8 classes')
    expect(text).toContain('Restoration error')
    expect(text).toContain('oneDNN 2.6.3')
  })

  it('says which options were given, chosen, or left at their defaults', async () => {
    const text = (await report()).replaceAll('\n', '')
    expect(text).toMatch(/<code>--batch<\/code><\/td><td>4<\/td><td>given/)
    expect(text).toMatch(/<code>--patch<\/code><\/td><td>32x32x16<\/td><td>chosen/)
    expect(text).toMatch(/<code>--seed<\/code><\/td><td>0<\/td><td>default/)
  })

  it('refers to nothing outside of itself', async () => {
    const text = await report()
    expect([...text.matchAll(/(?:src|href)="(?!data:image\/(?:png|webp);base64,|#)/g)]).toEqual([])
    expect(text).not.toMatch(/<script|<link|@import|url\(/)
    expect(text).toContain(`default-src 'none'`)
  })

  it('tells of the scans: parts, what was left out and why', async () => {
    const text = await report()
    expect(text).toContain(
      'train: 2 scans of 2 patients, validation: 1 scan of 1 patient, test: 0 scans of 0 patients.',
    )
    expect(text).toContain('Every scan, 1 with something that deserves a look')
    expect(text).toContain('broken.nii is cut off.')
    expect(text).toContain('Voxel sizes differ.')
  })

  it('tells of the patterns and of the patients taken for alike', async () => {
    const text = await report()
    expect(text).toContain('<dt>crops held out</dt><dd>8</dd>')
    expect(text).toContain('Pattern 2: 3 scans, from <bdi>patient-01</bdi>')
    expect(text).toContain('8 patterns were looked for, as the cohort is small.')
    expect(text).toMatch(/<bdi>patient-01<\/bdi><\/td><td><bdi>&lt;img/)
  })

  it('speaks of patterns only where the recipe asks for some', async () => {
    await rm(join(folder, 'patterns.json'))
    const config = join(folder, 'config.json')
    const asking = async (question: string) => {
      const content = JSON.parse(await readFile(config, 'utf8'))
      await writeFile(config, JSON.stringify({ ...content, recipe: { question } }))
      return report()
    }
    expect(await asking('pattern')).toContain('The run has no patterns.json (yet).')
    const rotations = await asking('rotation')
    expect(rotations).toContain('Rotation accuracy')
    expect(rotations).not.toMatch(/Pattern accuracy|>Patterns<|>Nearest patients</)
  })

  it('escapes what strangers named', async () => {
    const text = await report()
    expect(text).not.toContain('<img src=x')
    expect(text).toContain(`<bdi>&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;${hostile.slice(-8)}</bdi>`)
  })

  it('is the same when it is written again', async () => {
    expect(await report()).toBe(await report())
  })
})

describe('a run that is not whole', () => {
  it('killed in the middle of a line', async () => {
    const metrics = await readFile(join(folder, 'metrics.jsonl'), 'utf8')
    const lines = metrics.split('\n')
    const resumed = lines.findIndex((line) => line.includes('"resume"'))
    await writeFile(join(folder, 'metrics.jsonl'), lines.slice(0, resumed).join('\n'))
    await appendFile(join(folder, 'metrics.jsonl'), '\n{"event":"step","ti')
    expect(await report()).toContain('Unfinished: 70 steps in 18 min 15 s')
  })

  it('without its later parts', async () => {
    const parts = ['cohort.json', 'metrics.jsonl', 'samples.json', 'patterns.json']
    for (const part of parts) await rm(join(folder, part), { recursive: true })
    const text = await report()
    for (const part of parts) expect(text).toContain(`The run has no ${part} (yet).`)
    expect(text).toContain('oneDNN 2.6.3')
  })

  it('with samples cut short', async () => {
    await writeFile(join(folder, 'samples.bin'), new Uint8Array(100))
    expect(await report()).toContain('samples.bin has 100 bytes')
  })

  it('with a montage cut short', async () => {
    await writeFile(join(folder, 'montages/pattern-1.png'), new Uint8Array(100))
    expect(await report()).toContain('pattern-1.png cannot be shown')
  })

  it('that is none', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'semgen-none-'))
    await expect(writeReport(empty)).rejects.toThrow(`${empty} holds no run`)
    await expect(writeReport(join(empty, 'absent'))).rejects.toThrow('absent is no folder')
    await rm(empty, { recursive: true })
  })
})
