import { planOptions } from '../config/index.js'
import { bytes, whole } from '../format.js'
import type { PlannedStep } from '../training/index.js'
import { command } from './command.js'
import { table } from './table.js'

export const plan = command({
  name: 'plan',
  summary: 'Say beforehand what a training step needs of memory and time, without taking either.',
  details:
    'Memory is what tensors and programs ask the device for; a library, a driver and this program come on top. ' +
    'A level that is recomputed keeps less memory for the gradient, and computes it again: --recompute of train and finetune.',
  examples: [
    'plan',
    'plan --batch 16,64 --device cuda',
    'plan --patch 96x96x96 --base-width 16 --batch 2 --recompute 0,2',
  ],
  options: planOptions,
  async run(options, { print }) {
    const { planSteps } = await import('../training/index.js')
    const steps = planSteps(options)
    print(options.json ? JSON.stringify(steps, null, 2) : planReport(steps))
  },
})

/** A row for every batch and number of recomputed levels. */
function planReport(steps: readonly PlannedStep[]): string {
  const right = (head: string) => ({ head, align: 'right' as const })
  return table(
    [
      right('batch'),
      right('recomputed'),
      right('parameters'),
      right('activations'),
      right('validation'),
      right('cubes'),
      right('in all'),
      right('GFLOP a step'),
      right('batches that fit now'),
    ],
    steps.map(({ batch, recompute, parameters, activations, validation, cubes, total, flops, fits }) => [
      whole(batch),
      String(recompute),
      ...[parameters, activations, validation, cubes, total].map(bytes),
      whole(Math.round(flops / 1e9)),
      fits > 0 ? `up to ${whole(fits)}` : 'none',
    ]),
  )
}
