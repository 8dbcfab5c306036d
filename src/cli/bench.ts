import { type Benchmark, benchmarks, measureBenchmarks, runBenchmarks } from '../../bench/index.js'
import {
  choice,
  chosen,
  engineOptions,
  extents,
  flag,
  group,
  option,
  positional,
  several,
  whole,
} from '../config/index.js'
import { command } from './command.js'

const names = Object.keys(benchmarks) as Benchmark[]
const { device, precision, threads } = engineOptions

export const bench = command({
  name: 'bench',
  summary: 'Measure how fast this machine is at the parts of the work.',
  details: names.map((name) => `${name}: ${benchmarks[name].what}.`).join(' '),
  examples: [
    'bench',
    'bench step --batch 1 --precision bf16',
    'bench data --json',
    'bench kernels --device sim --batch 1 --base-width 8 --patch 16x16x16',
  ],
  options: {
    what: positional(
      option(several({ ...choice(...names), placeholder: 'WHAT' }), names, 'What to measure; everything by default.'),
    ),
    json: option(flag, false, 'Print JSON for programs.'),
    ...group('Step and kernels', {
      device,
      precision,
      threads,
      batch: chosen(whole(1, 65536), '4, and 1 for kernels', 'Cubes a step.'),
      baseWidth: chosen(whole(1, 1024), '32', 'Channels of the first conv unit.'),
      patch: chosen(extents(4, 512), '64x64x32', 'Voxels of a cube.'),
    }),
  },
  async run({ what, json, device, precision, threads, batch, baseWidth, patch }, { signal, print }) {
    const given = { device, precision, threads, batch, width: baseWidth, patch: patch?.join('x') }
    const words = Object.entries(given).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, String(value)],
    )
    if (json) print(JSON.stringify(await measureBenchmarks(what, words, signal), null, 2))
    else await runBenchmarks(what, words, signal)
  },
})
