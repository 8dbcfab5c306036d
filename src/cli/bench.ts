import { type Benchmark, benchmarks, measureBenchmarks, runBenchmarks } from '../../bench/index.js'
import { choice, flag, option, positional, several } from '../config/index.js'
import { command } from './command.js'

const names = Object.keys(benchmarks) as Benchmark[]

export const bench = command({
  name: 'bench',
  summary: 'Measure how fast this machine is at the parts of the work.',
  details: `${names.map((name) => `${name}: ${benchmarks[name]}.`).join(' ')} Each is a program with more options, too: node dist/bench/step.js --batch 1.`,
  examples: ['bench', 'bench step', 'bench volumes perturb --json'],
  options: {
    what: positional(
      option(several({ ...choice(...names), placeholder: 'WHAT' }), names, 'What to measure; everything by default.'),
    ),
    json: option(flag, false, 'Print JSON for programs.'),
  },
  async run({ what, json }, { signal, print }) {
    if (json) print(JSON.stringify(await measureBenchmarks(what, signal), null, 2))
    else await runBenchmarks(what, signal)
  },
})
