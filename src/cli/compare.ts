import { compareOptions } from '../config/index.js'
import { command } from './command.js'

export const compare = command({
  name: 'compare',
  summary: 'Compare starts: fine-tune from each with several seeds, and say what differs.',
  details:
    'Every start sees the same cases and makes the same steps with each seed; --max-time is for one run, and the first with a ' +
    'share of the labels is planned for all of them. The folder gets comparison.html, comparison.md and ' +
    'comparison.json, written anew after every run; --resume goes on in the middle of a run.',
  examples: [
    'compare --data task/ --init scratch,runs/mine/best.safetensors --runs 10 --out compared',
    'compare --data task/ --init scratch,runs/mine/best.safetensors --label-fraction 1,0.1,0.03 --epochs 10 --out cost',
    'compare --task classify --data images.csv --init scratch,runs/mine/best.safetensors --out compared',
  ],
  options: compareOptions,
  async run(options, { progress, signal, print }) {
    const { compare } = await import('../transfer/index.js')
    const { NothingReplaced } = await import('../training/index.js')
    try {
      const { page } = await compare(options, progress, signal)
      print(page)
    } catch (error) {
      if (signal.aborted && !(error instanceof NothingReplaced))
        progress.say('The same command with --resume goes on from here.')
      throw error
    }
  },
})
