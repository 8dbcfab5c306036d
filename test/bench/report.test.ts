import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BenchReport, pytorchVersion, reportPath, usualFolder } from '../../bench/report.js'
import { gitCommit } from '../../bench/surroundings.js'
import { markdownTables } from '../../bench/tables.js'
import { describeWaterfall, waterfallOf } from '../../bench/waterfall.js'
import { root, runs, semgen } from '../cli/run.js'

const newFolder = () => mkdtempSync(join(tmpdir(), 'semgen-test-bench-'))
const machine = {
  cpu: 'AMD EPYC 9B14 96-Core Processor',
  cores: 2,
  memoryBytes: 2 ** 34,
  instructions: ['AVX2'],
  system: 'Debian',
  gpus: [],
  driver: 'none',
}

describe('bench saves its tables', () => {
  const small = ['--device', 'cpu', '--precision', 'fp32', '--batch', '1', '--base-width', '2', '--patch', '16x16x16']

  it('with machine, versions, commit, date and command, and overwrites them only by --force', async () => {
    const folder = join(newFolder(), 'made')
    const words = ['bench', 'step', ...small, '--out', folder]
    const first = await semgen(words)
    expect(first).toMatchObject({ code: 0 })
    expect(first.out).toMatch(/^## step --device cpu/)
    const files = readdirSync(folder).sort()
    expect(files).toHaveLength(2)
    expect(files[0]).toMatch(
      /^\d{4}-\d\d-\d\d-.*-step-device-cpu-precision-fp32-batch-1-base-width-2-patch-16x16x16\.json$/,
    )
    const path = join(folder, files[0]!)
    const report = JSON.parse(readFileSync(path, 'utf8')) as BenchReport
    expect(report).toMatchObject({
      version: 1,
      // As it was asked for: it can be copied.
      command: ['semgen-native bench step', ...small].join(' '),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      commit: expect.stringMatching(/^([0-9a-f]{40}(, changed)?|unknown)$/),
      machine: { cpu: expect.any(String), cores: expect.any(Number), driver: expect.any(String) },
      versions: { node: process.versions.node, engines: { cpu: expect.stringContaining('oneDNN') } },
      runs: [{ program: 'step', figures: { batch: 1, width: 2, ours: { median: expect.any(Number) } } }],
    })
    const text = readFileSync(path.replace(/json$/, 'md'), 'utf8')
    for (const told of [report.commit, report.machine.cpu, report.command, report.versions.node])
      expect(text).toContain(told)
    expect(text).toContain('### waterfall')
    // What the terminal showed is what was saved.
    expect(text).toContain(first.out.trim())

    writeFileSync(path, 'another run')
    const second = await semgen(words)
    expect(second).toMatchObject({ code: 2, out: '' })
    expect(second.err).toContain('--force')
    expect(readFileSync(path, 'utf8')).toBe('another run')
    const forced = await semgen([...words, '--force', '--json'])
    expect(forced.code).toBe(0)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(JSON.parse(forced.out))
  })

  it('under a name that tells day, machine, what and options', () => {
    const of = { date: '2026-11-23T15:00:00.000Z', machine, what: ['step', '--batch', '1'] }
    expect(reportPath('x', of)).toBe('x/2026-11-23-amd-epyc-9b14-2-cores-step-batch-1')
    const card = { ...machine, gpus: ['NVIDIA H200'] }
    expect(reportPath('x', { ...of, machine: card })).toBe('x/2026-11-23-nvidia-h200-step-batch-1')
  })

  it('in bench/results of a checkout', () => expect(usualFolder()).toBe(join(root, 'bench/results')))

  it('with the commit where the folder is the top of a checkout, and unknown elsewhere', async () => {
    const folder = newFolder()
    expect(await gitCommit(folder)).toBe('unknown')
    const git = (...words: string[]) => runs(['git', '-C', folder, ...words])
    await git('init', '-q')
    writeFileSync(join(folder, 'a'), '1')
    await git('add', 'a')
    await git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'a')
    const head = (await git('rev-parse', 'HEAD')).out.trim()
    expect(await gitCommit(folder)).toBe(head)
    writeFileSync(join(folder, 'a'), '2')
    expect(await gitCommit(folder)).toBe(`${head}, changed`)
    await runs(['mkdir', join(folder, 'inner')])
    expect(await gitCommit(join(folder, 'inner'))).toBe('unknown')
  })

  it('with the version of PyTorch where that was measured beside', () => {
    const run = { program: 'step', options: [] }
    expect(pytorchVersion([{ ...run, figures: { a: { torch: { version: '1.13.0' } } } }])).toBe('1.13.0')
    expect(pytorchVersion([{ ...run, figures: { torch: undefined } }])).toBe('not measured')
  })
})

describe('the waterfall of a step', () => {
  const costs = { detail: '', shapes: '', flops: 0, bytes: 0 }
  const waterfall = waterfallOf(
    0.01,
    [
      { ...costs, operation: 'conv', seconds: 0.004, flops: 2e9 },
      { ...costs, operation: 'copy', seconds: 0.002, bytes: 1e8, flops: 1 },
    ],
    { flopsPerSecond: 1e12, bytesPerSecond: 1e11 },
  )

  it('tells shares of the step and of the limits, and what is in no operation', () => {
    expect(waterfall.operations.map(({ share }) => share)).toEqual([0.4, 0.2])
    expect(waterfall.operations.map(({ limitShare }) => limitShare)).toEqual([0.5, 0.5])
    expect(waterfall.outsideSeconds).toBeCloseTo(0.004, 12)
  })

  it('is drawn with bars that follow each other', () => {
    const [, conv, copy, rest] = describeWaterfall(waterfall).split('\n')
    expect(conv).toBe(`    4.000  40.0 %   50.0 %  ${'█'.repeat(16)}${' '.repeat(24)}  conv `)
    expect(copy).toContain(`  ${' '.repeat(16)}${'█'.repeat(8)}${' '.repeat(16)}  copy`)
    expect(rest).toContain(`  ${' '.repeat(24)}${'█'.repeat(16)}  in no operation`)
  })
})

describe('figures as tables', () => {
  it('puts what is alike beside each other, and lists below', () => {
    const text = markdownTables('step', {
      batch: 4,
      ours: { median: 1.25, peakBytes: 2 ** 30, byOperation: { conv: 0.001, add: 2e-6 } },
      torch: { median: 2.5, peakBytes: 2 ** 31, version: 'a|b' },
      rows: [{ name: 'x', share: 0.5 }],
    })
    expect(text).toBe(`## step

|       |     |
| ----- | --- |
| batch | 4   |

|         | ours    | torch   |
| ------- | ------- | ------- |
| median  | 1.25 s  | 2.5 s   |
| peak    | 1.0 GiB | 2.0 GiB |
| version |         | a\\|b    |

#### ours, by operation

|      |      |
| ---- | ---- |
| conv | 1 ms |
| add  | 2 µs |

### rows

| name | share  |
| ---- | ------ |
| x    | 50.0 % |
`)
  })
})
