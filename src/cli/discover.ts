import { join } from 'node:path'
import { discoverOptions } from '../config/index.js'
import { command } from './command.js'

export const discover = command({
  name: 'discover',
  summary: 'Find anatomical patterns that patients have in common, and show them.',
  details:
    'Leaves patterns.json, which train takes as --patterns, and a picture of every pattern in montages/. ' +
    'What is not set is fitted to scans, machine and time, and said.',
  examples: ['discover scans/ --out patterns', 'discover scans/ --out patterns --classes 44 --max-time 20m'],
  options: discoverOptions,
  async run(options, { progress, signal, print }) {
    const { discoverCohort } = await import('../discovery/index.js')
    await discoverCohort(options, progress, signal)
    print(join(options.out, 'patterns.json'))
  },
})
