import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { newestWith, readReports } from '../../bench/reports.js'
import { root, runs } from '../cli/run.js'

const newFolder = () => mkdtempSync(join(tmpdir(), 'semgen-test-pictures-'))
const machine = { cpu: 'A CPU & more', cores: 2, gpus: [] }
const step = (precision: string, median: number) => ({
  batch: 4,
  width: 8,
  patch: [16, 16, 16],
  precision,
  ours: { median },
  torch: { median: 2 * median, version: '1.13' },
  waterfall: {
    seconds: median,
    outsideSeconds: 0.1 * median,
    operations: [
      { operation: 'conv_unit', seconds: 0.6 * median, limitShare: 0.5 },
      { operation: 'max_pool', seconds: 0.3 * median, limitShare: 0.25 },
    ],
  },
})
const scale = {
  terms: ['Seconds', 'Bytes'].map((unit) => ({
    term: `a step: ${unit} by cubes`,
    law: '1 + 2 n',
    points: [1, 2, 4, 8].map((n) => ({ cubes: n, [`measured${unit}`]: 3 * n, [`fitted${unit}`]: 1 + 2 * n })),
  })),
}
const report = (date: string, runs: readonly unknown[]) => JSON.stringify({ version: 1, date, machine, runs })
const run = (program: string, figures: unknown, options: readonly string[] = []) => ({ program, options, figures })

describe('pictures', () => {
  it('are drawn from saved tables', async () => {
    const [from, to] = [newFolder(), newFolder()]
    writeFileSync(
      join(from, 'a.json'),
      report('2026-01-02', [run('step', step('fp32', 1.5)), run('step', step('bf16', 0.75)), run('scale', scale)]),
    )
    const { code, err } = await runs([
      process.execPath,
      join(root, 'dist/bench/pictures.js'),
      '--from',
      from,
      '--to',
      to,
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(readdirSync(to).sort()).toEqual(['operations.svg', 'scaling-bytes.svg', 'scaling-time.svg', 'step.svg'])
    for (const name of readdirSync(to)) {
      const svg = readFileSync(join(to, name), 'utf8')
      expect(svg).toContain('A CPU &amp; more, 2 cores; bench/results/a.json')
      // Readers of SVG that know no variables would draw it black.
      expect(svg).not.toContain('var(')
      // Something is drawn on the paper.
      const { channels } = await sharp(join(to, name)).stats()
      expect(channels[0]!.stdev).toBeGreaterThan(5)
    }
    const text = readFileSync(join(to, 'step.svg'), 'utf8')
    expect(text).toContain('1.5 s, 2.00x as fast')
    expect(text).toContain('PyTorch 1.13')
    const spent = readFileSync(join(to, 'operations.svg'), 'utf8')
    expect(spent).toContain('900 ms, 60.0 %; 50.0 % of limit')
    expect(spent).toContain('in no operation')
  })

  it('take the newest of the tables that measured it most, and none of the simulator', async () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'a.json'), report('2026-01-03', [run('step', 'new')]))
    writeFileSync(join(folder, 'b.json'), report('2026-01-02', [run('step', 'old'), run('scale', scale)]))
    writeFileSync(join(folder, 'c.json'), report('2026-01-04', [run('step', 'simulated', ['--device', 'sim'])]))
    writeFileSync(
      join(folder, 'd.json'),
      report('2026-01-05', [{ program: 'step', options: [], failed: 'It failed.' }]),
    )
    writeFileSync(join(folder, 'e.json'), report('2026-01-06', [run('overhead', 'one')]))
    writeFileSync(join(folder, 'f.json'), report('2026-01-01', [run('overhead', 'of two'), run('overhead', 'two')]))
    writeFileSync(join(folder, 'other.json'), '[]')
    const reports = await readReports(folder)
    expect(newestWith(reports, 'step')).toMatchObject({ file: 'a.json', figures: ['new'] })
    expect(newestWith(reports, 'scale')).toMatchObject({ file: 'b.json' })
    expect(newestWith(reports, 'overhead')).toMatchObject({ file: 'f.json', figures: ['of two', 'two'] })
    expect(newestWith(reports, 'kernels')).toBeUndefined()
  })
})
