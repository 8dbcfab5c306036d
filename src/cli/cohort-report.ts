import { counted, printable } from '../format.js'
import { type Cohort, cohortTable } from '../volumes/index.js'
import { table } from './table.js'

/** A cohort for people: its scans, what was left out and why, and the sums. */
export function cohortReport(cohort: Cohort): string {
  const { header, rows } = cohortTable(cohort)
  const { scans, refused, notes } = cohort
  const parts = (['train', 'validation', 'test'] as const).flatMap((part) => {
    const inPart = scans.filter(({ split }) => split === part)
    const patients = new Set(inPart.map(({ patient }) => patient)).size
    return inPart.length > 0 ? [`${part}: ${counted(inPart.length, 'scan')} of ${counted(patients, 'patient')}`] : []
  })
  return [
    table(
      header.map((head) => ({ head })),
      rows,
    ),
    '',
    ...refused.map(({ reason }) => printable(`left out: ${reason}`)),
    ...notes.map((note) => printable(`note: ${note}`)),
    `${counted(scans.length, 'scan')} can be used, ${refused.length} cannot; ${parts.join(', ')}.`,
  ].join('\n')
}
