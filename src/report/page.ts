import { answersOf, asksForPatterns } from './answers.js'
import { cohortSection } from './cohort.js'
import { configurationSection } from './configuration.js'
import { curves } from './curves.js'
import { documentOf } from './document.js'
import { type Html, html } from './html.js'
import { nearestSection, patternsSection } from './patterns.js'
import type { Part, Run } from './read-run.js'
import { summary } from './summary.js'
import { triplets } from './triplets.js'

/** A run as one page that needs nothing else: no script, no network, pictures inside. */
export async function page(run: Run): Promise<string> {
  const answers = answersOf(run)
  const task = 'value' in run.configuration ? run.configuration.value.task : undefined
  const discovered = async () => [
    await section('patterns', 'Patterns', run.patterns, (patterns) =>
      patternsSection(patterns, 'value' in run.montages ? run.montages.value : []),
    ),
    await section('nearest', 'Nearest patients', run.patterns, nearestSection),
  ]
  const learnt = async () => [
    await section('restored', 'Restored cubes', run.samples, triplets),
    ...(asksForPatterns(run) ? await discovered() : []),
  ]
  const sections = [
    await section('curves', 'Curves', run.course, (course) => curves(course, answers)),
    ...(task !== undefined ? [] : await learnt()),
    // Images of an archive are no scans, and have no cohort.
    ...(task === 'classification' && 'missing' in run.cohort
      ? []
      : [await section('cohort', 'Scans', run.cohort, cohortSection)]),
    await section('configuration', 'Configuration', run.configuration, configurationSection),
  ]
  const body = html`${summary(run, answers)}
<nav aria-label="Sections">${sections.map(({ id, title }) => html`<a href="#${id}">${title}</a>`)}</nav>
<main>${sections.map(({ markup }) => markup)}</main>`
  return documentOf(run.name, body)
}

async function section<T>(id: string, title: string, part: Part<T>, draw: (value: T) => Html | Promise<Html>) {
  const content = 'value' in part ? await draw(part.value) : html`<p class="missing">${part.missing}</p>`
  return { id, title, markup: html`<section id="${id}"><h2>${title}</h2>${content}</section>` }
}
