import { phantomOptions } from '../config/index.js'
import { counted } from '../format.js'
import { command } from './command.js'

export const phantom = command({
  name: 'phantom',
  summary: 'Make synthetic torso CTs with label maps: a cohort to try everything on.',
  details:
    'Bodies, organs, breath, contrast, position, field of view, voxel size and noise differ from patient to patient. ' +
    'A repeated call makes what is missing.',
  examples: ['phantom --out scans --count 24', 'phantom --out scans --count 100 --seed 7 --format metaimage'],
  options: phantomOptions,
  async run(options, { progress, signal, print }) {
    const { makePhantoms } = await import('../phantom/index.js')
    const { folder, scans, made } = await makePhantoms(options, progress, signal)
    print(`${folder}: ${counted(scans.length, 'scan')}, ${made} of them new.`)
  },
})
