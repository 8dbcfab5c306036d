import { defaultText, type Option, optionName } from '../config/index.js'
import { type Command, type Family, usage } from './command.js'

const introduction = `# Command line

This page is made from the commands' own definitions by \`npm run docs\`.

An option's value comes from the first of these that gives one:

1. the command line: \`--base-width 16\`;
2. the environment: \`SEMGEN_BASE_WIDTH=16\`, the option's name in capitals after \`SEMGEN_\`;
3. the file of \`--config\`, YAML or JSON: \`base-width: 16\` or \`baseWidth: 16\`; a run's \`config.json\` asks for the same again;
4. its default. Where the default is in words, the value is chosen by the work, said aloud, and saved.

A flag is taken back by \`--no-\` before its name: \`--no-resume\`. Extents are written \`64x64x32\` (x, y, z), or as a list in a
file. Times are written \`90s\`, \`30m\` or \`1h30m\`.

What a command finds goes to standard output; how it goes on, warnings and errors go to standard error. On a terminal there are
bars; elsewhere a line every few seconds. \`NO_COLOR=1\` turns colours off. An error is one sentence; \`SEMGEN_DEBUG=1\` adds
where it came from.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | it failed |
| 2 | it was called wrongly: an option, a variable or a configuration file |
| 130 | it was stopped by Ctrl-C or SIGTERM; a second one stops it at once |
`

/** docs/cli.md, in the order of the commands. */
export function reference(commands: readonly (Command | Family)[]): string {
  const all = commands.flatMap((entry) => ('members' in entry ? entry.members : [entry]))
  return [introduction, ...all.map(chapter)].join('\n')
}

function chapter({ description }: Command): string {
  const { name, summary, details, examples, options } = description
  const groups = new Map<string, [string, Option][]>()
  for (const [key, option] of Object.entries(options)) {
    const heading = option.group ?? 'Options'
    groups.set(heading, [...(groups.get(heading) ?? []), [key, option]])
  }
  return [
    `## ${name}`,
    '',
    `    semgen-native ${usage(description)}`,
    '',
    [summary, details].filter(Boolean).join(' '),
    '',
    ...(examples ? [...examples.map((example) => `    semgen-native ${example}`), ''] : []),
    ...[...groups].flatMap(([heading, entries]) => [
      ...(groups.size > 1 ? [`**${heading}**`, ''] : []),
      ...rows(entries),
    ]),
  ].join('\n')
}

function rows(entries: readonly (readonly [string, Option])[]): string[] {
  const lines = entries.map(([key, option]) => {
    const { kind, description } = option
    const name = option.positional
      ? `${kind.placeholder}${kind.list ? '...' : ''}`
      : `${optionName(key)} ${kind.placeholder}`.trim()
    // A bar would end the cell.
    const cells = [`\`${name.replaceAll('|', '\\|')}\``, defaultText(option), `${description}${takes(option)}`]
    return `| ${cells.join(' | ')} |`
  })
  return ['| option | default | meaning |', '| --- | --- | --- |', ...lines, '']
}

/** What a value may be, where name and meaning leave that open. */
function takes({ kind, positional }: Option): string {
  const clear = positional || kind.plain || kind.placeholder === '' || kind.placeholder.includes('|')
  return clear ? '' : ` Takes ${kind.expects}.`
}
