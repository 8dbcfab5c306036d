import {
  choice,
  chosen,
  extents,
  flag,
  millimetres,
  option,
  positional,
  range,
  required,
  several,
  text,
} from '../config/index.js'
import { SemgenError } from '../errors.js'
import { command, family } from './command.js'

const anyWeights = text('FILE', 'a file of weights')
const written = text('FILE', 'a .safetensors, .pt, .pth or .onnx file')
const json = option(flag, false, 'Print JSON for programs.')
const force = option(flag, false, 'Replace the file when it is there.')

const show = command({
  name: 'weights show',
  summary: 'Tell what a weights file holds: keys, shapes, types, parameters.',
  details: 'Reads safetensors, PyTorch’s .pt and .pth, and Keras’s .h5. No program in a file is ever run.',
  examples: ['weights show runs/one/best.safetensors', 'weights show semantic_genesis_chest_ct.pt --json'],
  options: {
    file: positional(required(anyWeights, 'The weights: .safetensors, .pt, .pth or .h5.')),
    json,
  },
  async run({ file, json }, { print }) {
    const { describeWeights } = await import('../weights/index.js')
    const { weightsReport } = await import('./weights-report.js')
    const description = await describeWeights(file)
    print(json ? JSON.stringify(description, null, 2) : weightsReport(description))
  },
})

const convert = command({
  name: 'weights convert',
  summary: 'Write a network’s weights in another format, with a record of how to use them.',
  details:
    'The ending of --out says the format: .safetensors; .pt or .pth, whose "state_dict" PyTorch’s load_state_dict takes; ' +
    '.onnx, opset 17, for any batch and extents. The optimizer’s state is left out.',
  examples: [
    'weights convert semantic_genesis_chest_ct.pt --out genesis.safetensors --window=-1000,1000',
    'weights convert runs/one/best.safetensors --out best.onnx',
  ],
  options: {
    file: positional(required(anyWeights, 'The weights: .safetensors, .pt, .pth or .h5.')),
    out: required(written, 'The file to write.'),
    norm: chosen(
      choice('batch', 'running'),
      'as the file says, else batch',
      'Statistics that normalise at inference; batch as published, running for Keras.',
    ),
    patch: chosen(extents(4, 512), 'as the file says, else 64x64x32', 'Voxels of the network’s input.'),
    spacing: chosen(millimetres, 'as the file says', 'Voxel size of what it was trained on, in millimetres.'),
    window: chosen(range, 'as the file says', 'Intensities that become 0 and 1; -1000,1000 as published for CT.'),
    force,
  },
  async run(options, { progress, print }) {
    const { convertWeights } = await import('../weights/index.js')
    for (const line of await convertWeights(options)) progress.say(line)
    print(options.out)
  },
})

const diff = command({
  name: 'weights diff',
  summary: 'Compare two files of weights, tensor by tensor.',
  details:
    'They may be of different formats. What stands before all keys ("module.") and the optimizer’s state do not count.',
  examples: ['weights diff genesis.pt genesis.safetensors', 'weights diff before.safetensors after.safetensors --json'],
  options: {
    files: positional(required(several(anyWeights), 'Two files of weights.')),
    json,
  },
  async run({ files, json }, { print }) {
    const { compareWeights } = await import('../weights/index.js')
    const { differenceReport } = await import('./weights-report.js')
    const [a, b, ...more] = files
    if (b === undefined || more.length > 0)
      throw new SemgenError('BAD_OPTION', `weights diff takes two files, not ${files.length}.`)
    const difference = await compareWeights(a!, b)
    print(json ? JSON.stringify(difference, null, 2) : differenceReport(difference))
  },
})

const average = command({
  name: 'weights average',
  summary: 'Average networks of one shape, number by number.',
  details: 'Running statistics are averaged, too; how to use them is taken from the first.',
  examples: ['weights average runs/*/best.safetensors --out soup.safetensors'],
  options: {
    files: positional(required(several(anyWeights), 'Two or more files of weights.')),
    out: required(written, 'The file to write.'),
    force,
  },
  async run({ files, out, force }, { print }) {
    const { averageWeights } = await import('../weights/index.js')
    await averageWeights(files, out, force)
    print(out)
  },
})

export const weights = family('weights', 'Look into weight files, convert, compare and average them.', [
  show,
  convert,
  diff,
  average,
])
