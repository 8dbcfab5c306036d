import { counted } from '../format.js'
import { type Cohort, cohortTable } from '../volumes/index.js'
import { type Html, html, name, table } from './html.js'

/** The scans that the run learns from, what was left out and why, and what deserves a look. */
export function cohortSection(cohort: Cohort): Html {
  const { scans, refused, notes } = cohort
  const { header, rows } = cohortTable(cohort)
  const withProblems = scans.filter(({ problems }) => problems.length > 0).length
  const parts = (['train', 'validation', 'test'] as const).map((part) => {
    const inPart = scans.filter(({ split }) => split === part)
    return `${part}: ${counted(inPart.length, 'scan')} of ${counted(new Set(inPart.map(({ patient }) => patient)).size, 'patient')}`
  })
  return html`<p>${counted(scans.length, 'scan')}; ${parts.join(', ')}.</p>
${notes.map((note) => html`<p>${note}</p>`)}
${
  refused.length > 0 && html`<h3>Left out</h3><ul>${refused.map(({ reason }) => html`<li>${name(reason)}</li>\n`)}</ul>`
}
<details><summary>Every scan${withProblems > 0 && `, ${withProblems} with something that deserves a look`}</summary>
${table(
  'Scans',
  header.map((head) => ({ head })),
  rows.map((row) => row.map(name)),
)}
</details>`
}
