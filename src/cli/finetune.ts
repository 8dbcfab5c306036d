import { finetuneOptions } from '../config/index.js'
import { command } from './command.js'

export const finetune = command({
  name: 'finetune',
  summary: 'Train a network to segment or to classify, from labelled cases and pre-trained weights.',
  details:
    'Every weight trains. After each epoch held-out cases are predicted, and the weights of the best mean Dice, or of the least ' +
    'classification error, are kept as best.safetensors, which predict takes. What is not set is fitted to the images, and said.',
  examples: [
    'finetune --data task/ --init runs/mine/best.safetensors --out runs/segment',
    'finetune --data cases.csv --out runs/scratch --max-time 15m --base-width 16',
    'finetune --data task/ --init runs/mine/best.safetensors --label-fraction 0.1 --out runs/few',
    'finetune --task classify --data images.csv --init runs/mine/best.safetensors --out runs/classify',
    'finetune --task classify --data scans/ --candidates candidates.csv --class-weights balanced --out runs/nodules',
    'finetune --data task/ --out runs/scratch --resume',
  ],
  options: finetuneOptions,
  async run(options, { progress, signal, print }) {
    const { finetune } = await import('../transfer/index.js')
    const { NothingReplaced } = await import('../training/index.js')
    const { writeReport } = await import('../report/index.js')
    try {
      await finetune(options, progress, signal)
    } catch (error) {
      if (signal.aborted && !(error instanceof NothingReplaced))
        progress.say('The same command with --resume goes on from here.')
      throw error
    }
    print(await writeReport(options.out))
  },
})
