import { predictOptions } from '../config/index.js'
import { command } from './command.js'

export const predict = command({
  name: 'predict',
  summary: 'Segment or classify images with fine-tuned weights.',
  details:
    'Each image is predicted window by window, and its label map is written on the image’s own grid, as labels.nii.gz after its name. ' +
    'The memory needed is that of a row of windows, whatever the image’s length. Weights that classify write predictions.csv instead: ' +
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
