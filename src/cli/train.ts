import { trainOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { command } from './command.js'

export const train = command({
  name: 'train',
  summary: 'Discover patterns in scans and pre-train a network on them.',
  details:
    'Before it starts it says what it will do. What is not set is fitted to scans, machine and time. Ctrl-C leaves a run ' +
    'that --resume takes up again, to the same bits. The run’s folder gets the weights to use, best.safetensors, and ' +
    'report.html, a page that shows what was learnt.',
  examples: [
    'train scans/ --out runs/one',
    'train scans/ --out runs/one --resume',
    'train scans/ --out runs/two --max-time 30m --base-width 16',
    'train scans/ --out runs/genesis --recipe models-genesis',
    'train --config runs/one/config.json --out runs/again',
  ],
  options: trainOptions,
  async run(options, { progress, signal, print }) {
    const { NothingReplaced, train } = await import('../training/index.js')
    const { writeReport } = await import('../report/index.js')
    try {
      await train(options, progress, signal)
    } catch (error) {
      // There is nothing of this run to look at, or to go on with.
      if (error instanceof NothingReplaced) throw error
      // What was done until then is worth a look, where anything was.
      if (error instanceof SemgenError && ['ABORTED', 'DIVERGED'].includes(error.code))
        await writeReport(options.out).then(
          (path) => progress.say(`What there is so far: ${path}`),
          () => {},
        )
      if (signal.aborted) progress.say('The same command with --resume goes on from here.')
      throw error
    }
    print(await writeReport(options.out))
  },
})
