import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/weights/index.js'
import { absentEngine, root, semgen } from './run.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-train-'))
  const { code, err } = await semgen(['phantom', '--out', 'scans', '--count', '6', '--size', '48x48x40'], {
    cwd: folder,
  })
  expect(code, err).toBe(0)
  await writeFile(
    join(folder, 'small.yaml'),
    [
      'classes: 3',
      'patch: 16x16x16',
      'embedding-width: 2',
      'embedding-input: [16, 16, 16]',
      'embedding-epochs: 2',
      'base-width: 4',
      'depth: 2',
      'batch: 4',
      'cubes: 16',
      'validationCubes: 8',
      'epochs: 10',
      'learning-rate: 0.01',
      'checkpoint-every: 0.05s',
      'threads: 1',
    ].join('\n'),
  )
})
afterAll(() => rm(folder, { recursive: true }))

const command = (out: string, ...more: string[]) => ['train', 'scans', '--out', out, '--config', 'small.yaml', ...more]

/** Starts a training run and waits until it has made so many steps. */
async function running(out: string, steps: number): Promise<ChildProcess> {
  const args = [join(root, 'bin/semgen-native.js'), ...command(out)]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: 'ignore' })
  const log = join(folder, out, 'metrics.jsonl')
  const made = () => existsSync(log) && Number(/.*"step":(\d+)/s.exec(readFileSync(log, 'utf8'))?.[1] ?? 0)
  while (child.exitCode === null && !(Number(made()) >= steps)) await setTimeout(5)
  return child
}

async function weightsOf(out: string): Promise<Map<string, Buffer>> {
  const { tensors } = await readSafetensors(join(folder, out, 'best.safetensors'))
  return new Map(
    [...tensors].map(([key, { data }]) => [key, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]),
  )
}

describe('train', () => {
  it('goes from scans to weights and a report, and says before it starts what it will do', async () => {
    const { code, out, err } = await semgen(command('whole'), { cwd: folder })
    expect(code, err).toBe(0)
    expect(out).toBe('whole/report.html\n')
    expect(err.indexOf('steps')).toBeGreaterThan(0)
    expect(await readdir(join(folder, 'whole'))).toEqual(
      expect.arrayContaining([
        ...['best.safetensors', 'cache', 'cohort.json', 'config.json', 'last.safetensors', 'metrics.jsonl'],
        ...['montages', 'patterns.json', 'report.html', 'samples.bin', 'samples.json'],
      ]),
    )
    const report = await readFile(join(folder, 'whole/report.html'), 'utf8')
    expect(report).toContain('Finished: 40 steps')
    expect(report).not.toContain('class="missing"')
    const { options } = JSON.parse(await readFile(join(folder, 'whole/config.json'), 'utf8'))
    expect(options).toMatchObject({ baseWidth: 4, patch: [16, 16, 16], checkpointEvery: 0.05 })
  })

  it('makes do with fewer threads than it asks for, where the environment grants no more', async () => {
    const env = { OMP_THREAD_LIMIT: '1', OMP_DYNAMIC: 'true' }
    const { code, err } = await semgen(command('granted', '--threads', '2', '--epochs', '2'), { cwd: folder, env })
    expect(code, err).toBe(0)
  })

  it('killed at any moment and resumed, ends in the same bits', async () => {
    const child = await running('killed', 10)
    child.kill('SIGKILL')
    expect((await once(child, 'exit'))[1]).toBe('SIGKILL')
    const { code, err } = await semgen(command('killed', '--resume'), { cwd: folder })
    expect(code, err).toBe(0)
    expect(await weightsOf('killed')).toEqual(await weightsOf('whole'))
    expect(await readFile(join(folder, 'killed/report.html'), 'utf8')).toContain('Finished: 40 steps')
  })

  it('stopped by SIGTERM, exits with 130 and leaves a report of what there is', async () => {
    const child = await running('stopped', 5)
    const second = await semgen(command('stopped', '--resume'), { cwd: folder })
    expect(second.code).toBe(2)
    expect(second.err).toContain(`error: stopped is in use by process ${child.pid}: `)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([130, null])
    expect(await readdir(join(folder, 'stopped'))).not.toContain('.lock')
    expect(await readFile(join(folder, 'stopped/report.html'), 'utf8')).toMatch(/Stopped on request|Finished/)
  })

  it('stopped at once, by a second signal, leaves no lock', async () => {
    const child = await running('twice', 5)
    child.kill('SIGTERM')
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([130, null])
    expect(await readdir(join(folder, 'twice'))).not.toContain('.lock')
  })

  it.skipIf(!absentEngine)('refuses a device that is not there, and says why', async () => {
    const { code, err } = await semgen(command('device', '--device', absentEngine!), { cwd: folder })
    expect(code).toBe(1)
    expect(err).toContain(`error: The ${absentEngine} engine is not built here`)
  })

  it.each<[string, string[], number, string]>([
    ['a folder that holds a run', command('whole'), 2, 'whole already holds a run: go on with it (--resume)'],
    ['other options on a resume', command('whole', '--resume', '--base-width', '8'), 2, '--base-width: 8 now, but'],
    ['a recipe that is none', command('recipe', '--recipe', 'jigsaw'), 2, '--recipe takes semantic-genesis, '],
    ['one scan', ['train', 'scans/images/PH_0001.nii.gz', '--out', 'one'], 1, 'has one usable scan'],
    ['no scans', ['train', 'small.yaml', '--out', 'none'], 1, 'small.yaml'],
  ])('refuses %s in one sentence', async (_, args, code, sentence) => {
    const outcome = await semgen(args, { cwd: folder })
    expect(outcome.code, outcome.err).toBe(code)
    const sentences = outcome.err.split('\n').filter((line) => line.startsWith('error: '))
    expect(sentences).toHaveLength(1)
    expect(sentences[0]).toContain(sentence)
  })
})
