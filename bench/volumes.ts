/**
 * Reading a 512x512x300 int16 .nii.gz: seconds, and the process's peak memory as a multiple of the volume's size.
 *
 *   node dist/bench/volumes.js [--json]
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readVolume } from '../src/volumes/index.js'
import { writeLargeScans } from './large-scan.js'
import { peakMemory } from './memory.js'

const reading = process.argv.indexOf('--read')
if (reading > 0) await read(process.argv[reading + 1]!)
else await measure()

async function read(path: string): Promise<void> {
  const before = peakMemory()
  const start = performance.now()
  const volume = await readVolume(path)
  const seconds = (performance.now() - start) / 1000
  const grown = peakMemory() - before
  console.log(
    JSON.stringify({ seconds, memoryRatio: grown / volume.data.byteLength, volumeBytes: volume.data.byteLength }),
  )
}

/** Each reading in a process of its own: making the file takes more memory than reading it. */
async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'semgen-bench-'))
  try {
    const [path] = await writeLargeScans(folder, 1)
    const runs = Array.from({ length: 5 }, () =>
      JSON.parse(execFileSync(process.execPath, [process.argv[1]!, '--read', path!], { encoding: 'utf8' })),
    ).sort((a, b) => a.seconds - b.seconds)
    const median = runs[2]
    if (process.argv.includes('--json'))
      console.log(JSON.stringify({ what: 'reading 512x512x300 int16 .nii.gz', ...median, runs }))
    else
      console.log(
        `reading 512x512x300 int16 .nii.gz: ${median.seconds.toFixed(3)} s, ${median.memoryRatio.toFixed(2)} times the volume in memory (median of 5)`,
      )
  } finally {
    rmSync(folder, { recursive: true })
  }
}
