/**
 * A Markdown table of all kernels: what nvcc says of them (cuda/resources.json), and what the simulator counted of a training
 * step, where the step uses them.
 *
 *   node dist/bench/kernels.js --device sim --json > counted.json
 *   node dist/bench/kernel-table.js counted.json
 */
import { readFileSync } from 'node:fs'
import type { CountedStep } from './counted-step.js'
import { resourceTable } from './occupancy.js'

const [path] = process.argv.slice(2)
if (path === undefined) throw new Error('Give the file that kernels.js --json printed.')
const { kernels: counted }: CountedStep = JSON.parse(readFileSync(path, 'utf8'))
const counts = new Map(counted.map((kernel) => [kernel.kernel, kernel]))
const { kernels } = resourceTable()

/** As the sources write it. */
const sourceName = (kernel: string) =>
  kernel.replace(/\(Arithmetic\)(\d)/g, (_, index) => ['bf16', 'tf32', 'fp32'][Number(index)]!)
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
const percent = (share: number, digits: number) => `${(100 * share).toFixed(digits)} %`

console.log(`| kernel | registers sm_80 / 90 / 120 | spilled bytes | shared bytes, static + dynamic | launches | memory, MiB | L2, MiB | GFLOP | read, of ideal | written, of ideal | bank conflicts | occupancy |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |`)
for (const [name, by] of Object.entries(kernels).sort(([a], [b]) => (sourceName(a) < sourceName(b) ? -1 : 1))) {
  const [sm80, sm90, sm120] = [by.sm_80!, by.sm_90!, by.sm_120!]
  const of = counts.get(name)
  const cells = of
    ? [
        of.launches,
        mib(of.memoryBytes),
        mib(of.l2Bytes),
        of.tensorFlop > 0 ? (of.tensorFlop / 1e9).toFixed(2) : '',
        of.readRatio.toFixed(2),
        of.writtenRatio.toFixed(2),
        percent(of.conflicts, 1),
        of.resources ? percent(of.resources.occupancy, 0) : '',
      ]
    : Array(8).fill('')
  const registers = [sm80, sm90, sm120].map((resources) => resources.registers).join(' / ')
  const spilled = Math.max(sm80.spilled, sm90.spilled, sm120.spilled)
  const shared = of && of.dynamicShared > 0 ? `${sm90.shared} + ${of.dynamicShared}` : sm90.shared
  console.log(`| \`${sourceName(name)}\` | ${[registers, spilled, shared, ...cells].join(' | ')} |`)
}
