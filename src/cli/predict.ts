import { predictOptions } from '../config/index.js'
import { command } from './command.js'

export const predict = command({
  name: 'predict',
  summary: 'Segment or classify images with fine-tuned weights.',
  details:
    'Each image is predicted window by window, and its label map is written on the image’s own grid, as labels.nii.gz after its name. ' +
    'Images come one after the other. Each is read whole and prepared in 16 bits a voxel, on the disk; its label map, a byte a voxel, ' +
    'is held on the prepared grid and written on its own (reading, preparing and writing take it a few times over); sums of ' +
    'probabilities are held for the planes under one row of windows. --probabilities keeps those of all outputs on the disk, and ' +
    'holds one output at a time to write it, four bytes a voxel. Weights that classify write predictions.csv instead: ' +
    'a row an image, with the probability of each class; of candidates of two classes also marks.csv, for evaluate --task detect.',
  examples: [
    'predict scans/ --weights runs/segment/best.safetensors --out predicted',
    'predict a.nii.gz b.mha --weights one/best.safetensors --weights two/best.safetensors --mirror sides --probabilities --out predicted',
    'predict images.npz --part test --weights runs/classify/best.safetensors --out predicted',
  ],
  options: predictOptions,
  async run(options, { progress, signal, print }) {
    const { predict } = await import('../transfer/index.js')
    for (const path of await predict(options, progress, signal)) print(path)
  },
})
