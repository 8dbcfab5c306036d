import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { writeFakeRun } from '../report/fake-run.js'
import { semgen } from './run.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-report-'))
})
afterAll(() => rm(folder, { recursive: true }))

it('writes the page and prints where', async () => {
  await writeFakeRun(join(folder, 'run'))
  const { code, out, err } = await semgen(['report', 'run'], { cwd: folder })
  expect({ code, out, err }).toEqual({ code: 0, out: 'run/report.html\n', err: '' })
  expect((await stat(join(folder, 'run/report.html'))).size).toBeGreaterThan(10_000)
})

it('refuses a folder that is no run’s, and leaves it as it was', async () => {
  await mkdir(join(folder, 'none'))
  const { code, err } = await semgen(['report', 'none'], { cwd: folder })
  expect(code).toBe(1)
  expect(err).toBe('error: none holds no run: The run has no config.json (yet). The run has no metrics.jsonl (yet).\n')
  expect(await readdir(join(folder, 'none'))).toEqual([])
})
