import { finetuneOptions, type OptionTable, optionName, trainOptions } from '../config/index.js'
import { type Content, facts, type Html, html, table } from './html.js'
import type { RunConfiguration } from './run-files.js'
import { moment } from './summary.js'

/** What was asked, what was chosen, and with what it ran. */
export function configurationSection(configuration: RunConfiguration): Html {
  const { options, chosen, network, environment, program, created } = configuration
  return html`<h3>Machine and versions</h3>
${facts([['program', program], ['configured', moment(created)], ...plainFacts(environment)])}
<h3>Network</h3>
${facts(plainFacts(network))}
<h3>Options</h3>
${table('Options', [{ head: 'option' }, { head: 'value' }, { head: 'why' }, { head: 'meaning' }], rows(options, chosen, configuration.task === undefined ? trainOptions : finetuneOptions))}
<details><summary>config.json in full</summary><pre>${JSON.stringify(configuration, null, 2)}</pre></details>`
}

function rows(
  options: Readonly<Record<string, unknown>>,
  chosen: Readonly<Record<string, unknown>>,
  known: OptionTable,
): Content[][] {
  return [...new Set([...Object.keys(options), ...Object.keys(chosen)])].map((key) => {
    const option = known[key]
    const asked = options[key]
    const why =
      asked === undefined || asked === null
        ? 'chosen'
        : JSON.stringify(asked) === JSON.stringify(option?.fallback)
          ? 'default'
          : 'given'
    return [
      html`<code>${option?.positional ? option.kind.placeholder : optionName(key)}</code>`,
      written(key, asked ?? chosen[key], known),
      why,
      option?.description,
    ]
  })
}

/** A value as it would be given on the command line. */
function written(key: string, value: unknown, known: OptionTable): string {
  const kind = known[key]?.kind
  const parsed = kind?.schema.safeParse(value)
  return kind && parsed?.success ? kind.write(parsed.data as never) : plain(value)
}

const plainFacts = (record: Readonly<Record<string, unknown>>): [string, string][] =>
  Object.entries(record).map(([key, value]) => [key.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`), plain(value)])

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join(typeof value[0] === 'number' ? ' x ' : ', ')
  if (value === undefined || value === null) return '–'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
