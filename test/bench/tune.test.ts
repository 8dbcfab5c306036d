import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readTileFile } from '../../src/engine/index.js'
import { absentEngine, semgen } from '../cli/run.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-test-tune-'))
afterAll(() => rmSync(folder, { recursive: true }))
const tiles = join(folder, 'tiles.json')
const small = ['--batch', '1', '--base-width', '2', '--patch', '16x16x16']

describe('bench tune', () => {
  it('says on the CPU that there is nothing to tune', async () => {
    const { code, err } = await semgen(['bench', 'tune', '--device', 'cpu', '--tiles', tiles, '--out', folder])
    expect(code).not.toBe(0)
    expect(err).toContain('oneDNN chooses by itself')
    expect(existsSync(tiles)).toBe(false)
  })

  it.skipIf(absentEngine === 'sim')('refuses a table that it could not write before it tunes', async () => {
    const inFile = ['--device', 'sim', ...small, '--tiles', join(import.meta.filename, 'tiles.json'), '--out', folder]
    const { code, out, err } = await semgen(['bench', 'tune', ...inFile])
    expect(code).not.toBe(0)
    expect(err).toContain('could not be made')
    expect(out).toBe('')
  })

  it.skipIf(absentEngine === 'sim')(
    'writes a table by what the simulator counts, which a step then takes',
    async () => {
      const sim = ['--device', 'sim', ...small, '--tiles', tiles, '--out', folder]
      const tuned = await semgen(['bench', 'tune', ...sim, '--json'])
      expect(tuned).toMatchObject({ code: 0 })
      const [{ figures }] = JSON.parse(tuned.out).runs
      expect(figures).toMatchObject({ device: 'sim', wrong: 0, what: expect.stringContaining('no times') })
      expect(JSON.stringify(figures)).not.toContain('econds')
      expect(figures.shapes).toBeGreaterThan(10)
      expect(figures.bestCountedBytes).toBeLessThanOrEqual(figures.usualCountedBytes)
      const { tuned: about, tiles: table } = readTileFile(tiles)
      expect(about).toMatchObject([{ command: expect.stringContaining('--device sim'), date: expect.any(String) }])
      expect(Object.keys(table).sort()).toEqual(figures.choices.map(({ shape }: { shape: string }) => shape).sort())

      const step = await semgen(['bench', 'step', ...sim, '--json'])
      expect(step).toMatchObject({ code: 0 })
      const report = JSON.parse(step.out).runs[0].figures
      expect(report.ours.losses.every(Number.isFinite)).toBe(true)
      // Another tuning adds to the table.
      const before = readFileSync(tiles, 'utf8')
      const again = await semgen(['bench', 'tune', ...sim, '--force'])
      expect(again).toMatchObject({ code: 0 })
      expect(readFileSync(tiles, 'utf8')).not.toBe(before)
      expect(readTileFile(tiles).tuned).toHaveLength(2)
    },
  )
})
