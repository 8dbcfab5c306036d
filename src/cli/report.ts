import { positional, required, text } from '../config/index.js'
import { command } from './command.js'

export const report = command({
  name: 'report',
  summary: 'Write a run’s page again: report.html in its folder.',
  details: 'The run may still be going on, or have been ended from outside.',
  examples: ['report runs/one'],
  options: { run: positional(required(text('RUN', 'the folder of a run'), 'The folder of a run.')) },
  async run({ run }, { print }) {
    const { writeReport } = await import('../report/index.js')
    print(await writeReport(run))
  },
})
