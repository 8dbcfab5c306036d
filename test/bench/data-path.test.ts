import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { writeLargeScans } from '../../bench/large-scan.js'
import { readVolume } from '../../src/volumes/index.js'
import { root, runs } from '../cli/run.js'

const folder = mkdtempSync(join(tmpdir(), 'semgen-test-data-path-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('tells what a scan takes, and how long a step waits for its cubes', async () => {
  const small = [
    '--generated',
    '3',
    '--extents',
    '48x40x32',
    '--steps',
    '2',
    '--base-width',
    '2',
    '--patch',
    '16x16x16',
  ]
  const program = join(root, 'dist/bench/data-path.js')
  const { code, out, err } = await runs([process.execPath, program, '--json', '--device', 'cpu', ...small], {
    env: { TMPDIR: folder },
  })
  expect({ code, err }).toMatchObject({ code: 0 })
  const { scans, preparedBytes, inspecting, preparing, step } = JSON.parse(out)
  expect(scans).toBe(3)
  expect(preparedBytes).toBeGreaterThan(3 * 2 * 48 * 40 * 32)
  for (const phase of [inspecting, preparing]) expect(phase.perScanSeconds).toBeCloseTo(phase.seconds / 3)
  expect(step.waitShare).toBeGreaterThanOrEqual(0)
  expect(step.waitShare).toBeLessThan(1)
  expect(readdirSync(folder)).toEqual([])
})

it('makes scans of tissue in air, each another', async () => {
  const paths = await writeLargeScans(folder, 2, [24, 20, 12])
  const [first, second] = (await Promise.all(paths.map((path) => readVolume(path)))).map(({ shape, data }) => {
    expect(shape).toEqual([24, 20, 12])
    return [...(data as Int16Array)]
  })
  expect([first![0], second![0]]).toEqual([0, 1])
  expect(first!.slice(480)).toEqual(second!.slice(480))
  expect(Math.abs(first![(6 * 20 + 10) * 24 + 12]!)).toBeLessThan(200)
  expect(first!.at(-1)).toBeLessThan(-900)
})
