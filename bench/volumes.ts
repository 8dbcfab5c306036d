/**
 * Reading a 512x512x300 int16 .nii.gz: seconds, and the process's peak memory as a multiple of the volume's size.
 *
 *   node dist/bench/volumes.js [--json]
 *
 * The file is made once in the system's folder for temporary files: smooth anatomy-like values with noise, so that it
 * packs about as well as a real scan.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Random } from '../src/random.js'
import { readVolume } from '../src/volumes/index.js'

const [X, Y, Z] = [512, 512, 300]
const path = join(tmpdir(), 'semgen-bench-512x512x300.nii.gz')

/** The most memory this process has had, in bytes. (maxRSS would count the parent's at the fork.) */
const peak = () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1])

async function makeFile(): Promise<void> {
  const bytes = new ArrayBuffer(352 + 2 * X * Y * Z)
  const header = Buffer.from(bytes, 0, 352)
  header.writeInt32LE(348, 0)
  for (const [i, extent] of [3, X, Y, Z, 1, 1, 1, 1].entries()) header.writeInt16LE(extent, 40 + 2 * i)
  header.writeInt16LE(4, 70)
  header.writeInt16LE(16, 72)
  for (let i = 0; i < 4; i++) header.writeFloatLE(1, 76 + 4 * i)
  header.writeFloatLE(352, 108)
  header.write('n+1\0', 344, 'latin1')
  const voxels = new Int16Array(bytes, 352)
  const noise = Int16Array.from(
    { length: 65536 },
    (
      (random) => () =>
        Math.round(12 * random.normal())
    )(new Random(0, 'bench')),
  )
  for (let z = 0, i = 0; z < Z; z++)
    for (let y = 0; y < Y; y++)
      for (let x = 0; x < X; x++, i++) {
        const inside = (x - 256) ** 2 / 200 ** 2 + (y - 256) ** 2 / 150 ** 2 < 1
        const tissue = inside ? 40 + Math.round(60 * Math.sin(x / 23) * Math.sin(y / 31 + z / 17)) : -1000
        voxels[i] = tissue + noise[(i * 2654435761) & 65535]!
      }
  await writeFile(`${path}.part`, await promisify(gzip)(new Uint8Array(bytes), { level: 4 }))
  await rename(`${path}.part`, path)
}

if (!existsSync(path)) await makeFile()
if (process.argv.includes('--made')) {
  const before = peak()
  const start = performance.now()
  const volume = await readVolume(path)
  const seconds = (performance.now() - start) / 1000
  const grown = peak() - before
  console.log(
    JSON.stringify({ seconds, memoryRatio: grown / volume.data.byteLength, volumeBytes: volume.data.byteLength }),
  )
} else {
  // In a process of its own: making the file takes more memory than reading it.
  const runs = Array.from({ length: 5 }, () =>
    JSON.parse(execFileSync(process.execPath, [process.argv[1]!, '--made'], { encoding: 'utf8' })),
  ).sort((a, b) => a.seconds - b.seconds)
  const median = runs[2]
  if (process.argv.includes('--json'))
    console.log(JSON.stringify({ what: 'reading 512x512x300 int16 .nii.gz', ...median, runs }))
  else
    console.log(
      `reading 512x512x300 int16 .nii.gz: ${median.seconds.toFixed(3)} s, ${median.memoryRatio.toFixed(2)} times the volume in memory (median of 5)`,
    )
}
