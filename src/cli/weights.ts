import { flag, option, positional, required, text } from '../config/index.js'
import { command, family } from './command.js'

const show = command({
  name: 'weights show',
  summary: 'Tell what a weights file holds: keys, shapes, types, parameters.',
  details: 'Reads safetensors, PyTorch’s .pt and .pth, and Keras’s .h5. No program in a file is ever run.',
  examples: ['weights show runs/one/best.safetensors', 'weights show semantic_genesis_chest_ct.pt --json'],
  options: {
    file: positional(required(text('FILE', 'a file of weights'), 'The weights: .safetensors, .pt, .pth or .h5.')),
    json: option(flag, false, 'Print JSON for programs.'),
  },
  async run({ file, json }, { print }) {
    const { describeWeights } = await import('../weights/index.js')
    const { weightsReport } = await import('./weights-report.js')
    const description = await describeWeights(file)
    print(json ? JSON.stringify(description, null, 2) : weightsReport(description))
  },
})

export const weights = family('weights', 'Look into weight files.', [show])
