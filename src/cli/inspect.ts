import { cohortOptions, flag, group, option, text } from '../config/index.js'
import { command } from './command.js'

export const inspect = command({
  name: 'inspect',
  summary: 'Look at every scan of a cohort: geometry, intensities, duplicates, problems.',
  details: 'A scan that cannot be used is listed with the reason, and the rest goes on.',
  examples: ['inspect scans/', "inspect 'scans/**/*.nii.gz' --modality ct", 'inspect manifest.csv --json'],
  options: {
    ...cohortOptions,
    ...group('Result', {
      out: option(text('FILE', 'a file'), 'cohort.json', 'What is known of every scan, as JSON.'),
      json: option(flag, false, 'Print that JSON instead of a table.'),
    }),
  },
  async run({ source, modality, split, seed, out, json }, { progress, signal, print }) {
    const { inspectCohort, writeCohort } = await import('../volumes/index.js')
    const { cohortReport } = await import('./cohort-report.js')
    const cohort = await inspectCohort(source, { modality, split, seed }, progress, signal)
    await writeCohort(out, cohort)
    print(json ? JSON.stringify(cohort, null, 2) : cohortReport(cohort))
    progress.say(`Written: ${out}`)
  },
})
