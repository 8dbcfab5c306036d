import { flag, option } from '../config/index.js'
import { coloursFor } from './colours.js'
import { command } from './command.js'

export const doctor = command({
  name: 'doctor',
  summary: 'Tell what this machine has, what works, and what is missing.',
  details: 'Exits with 1 when something that every command needs is missing.',
  examples: ['doctor', 'doctor --json'],
  options: { json: option(flag, false, 'Print JSON for programs.') },
  async run({ json }, { print }) {
    const { examine } = await import('../doctor/index.js')
    const { doctorReport } = await import('./doctor-report.js')
    const examination = await examine()
    print(json ? JSON.stringify(examination, null, 2) : doctorReport(examination, coloursFor(process.stdout)))
    if (examination.findings.some(({ level }) => level === 'problem')) process.exitCode = 1
  },
})
