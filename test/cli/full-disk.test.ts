import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSafetensors } from '../../src/weights/index.js'
import { type Outcome, root, runs, semgen } from './run.js'

/** A mount namespace of its own, in which anybody may mount a small disk; not every machine lets one have it. */
const namespace = ['unshare', '--user', '--map-root-user', '--mount'] as const
const allowed = (() => {
  try {
    execFileSync(namespace[0], [...namespace.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semgen-full-'))
  const { code, err } = await semgen(['phantom', '--out', 'scans', '--count', '6', '--size', '48x48x40'], {
    cwd: folder,
  })
  expect(code, err).toBe(0)
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs a command that writes to `disk`, of so many KiB; what it leaves there is copied to `left`. */
function onSmallDisk(kibibytes: number, args: readonly string[]): Promise<Outcome> {
  const script =
    `mkdir -p disk left && rm -rf left/* && mount -t tmpfs -o size=${kibibytes}k tmpfs disk && ` +
    '{ "$@"; code=$?; cp -a disk/. left; exit $code; }'
  const command = [process.execPath, join(root, 'bin/semgen-native.js'), ...args]
  return runs([...namespace, 'sh', '-c', script, 'sh', ...command], { cwd: folder })
}

const left = () =>
  execFileSync('find', ['left', '-type', 'f'], { cwd: folder, encoding: 'utf8' }).split('\n').filter(Boolean)

describe('a disk that fills up', () => {
  if (!allowed) console.log('skipped: no small disk can be mounted here (unshare --user --mount is refused)')
  const patterns = [
    ...['--classes', '3', '--patch', '16x16x16', '--embedding-width', '2', '--embedding-input', '16x16x16'],
    ...['--embedding-epochs', '2'],
  ]
  const small = [...patterns, '--base-width', '4', '--depth', '2', '--batch', '4', '--epochs', '2', '--cubes', '8']
  it.skipIf(!allowed).each([
    ['phantom', 300, ['phantom', '--out', 'disk/more', '--count', '6', '--size', '48x48x40']],
    ['discover', 1200, ['discover', 'scans', '--out', 'disk/found', ...patterns]],
    ['train, preparing', 700, ['train', 'scans', '--out', 'disk/run', ...small]],
    ['train, with checkpoints to write', 1500, ['train', 'scans', '--out', 'disk/run', ...small]],
  ])('%s: is told in one sentence, with nothing half-written', async (_, kibibytes, args) => {
    const { code, err } = await onSmallDisk(kibibytes, args)
    expect(code, err).toBeGreaterThan(0)
    expect(err.trimEnd().split('\n').at(-1)).toMatch(/^error: .*disk.*\.$/)
    expect(left().filter((path) => path.endsWith('.tmp'))).toEqual([])
    for (const path of left().filter((path) => path.endsWith('.safetensors')))
      expect((await readSafetensors(join(folder, path))).tensors.size).toBeGreaterThan(0)
  })
})
