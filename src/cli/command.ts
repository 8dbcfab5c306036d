import type { Argv, CommandModule } from 'yargs'
import {
  chosen,
  closest,
  commandLineLayer,
  defaultText,
  describePreset,
  environmentLayer,
  fileLayer,
  type Layer,
  type Option,
  type OptionsOf,
  type OptionTable,
  optionName,
  type PresetName,
  presetLayer,
  resolveOptions,
  text,
} from '../config/index.js'
import { shown } from '../errors.js'
import type { Progress } from '../progress.js'
import { usageError } from './failure.js'
import { listenForSignals } from './signals.js'
import { terminalProgress } from './terminal-progress.js'

/** What a command works with besides its options. */
export interface Surroundings {
  /** Goes to standard error. */
  readonly progress: Progress
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
  /** Writes a result, with a line end, to standard output. */
  print(result: string): void
}

export interface CommandDescription<T extends OptionTable> {
  /** "train", or "weights show" for one of a family. */
  readonly name: string
  /** One sentence for the list of commands. */
  readonly summary: string
  /** More sentences, for its own help and the reference. */
  readonly details?: string
  /** Command lines without the program's name. */
  readonly examples?: readonly string[]
  readonly options: T
  /** Imports its room when it runs: help stays quick, and doctor works where another room's packages are broken. */
  run(options: OptionsOf<T>, surroundings: Surroundings): Promise<void>
}

/** A yargs command that still tells what it was made from, for the reference. */
export interface Command extends CommandModule {
  readonly description: Omit<CommandDescription<OptionTable>, 'run'>
}

/** Every command reads its options from a file, too, so this one is beside the tables. */
export const configOption = {
  config: chosen(text('FILE', 'a YAML file'), 'none', 'Read options from a YAML (or JSON) file.'),
}

/**
 * A command whose options come, in this order, from the command line, the environment (SEMGEN_BASE_WIDTH for
 * --base-width), the file of --config, the preset, where there are presets, and their defaults. The environment is read here and not by yargs, which in
 * strict mode refuses every command as soon as one variable is set that belongs to another.
 */
export function command<T extends OptionTable>(description: CommandDescription<T>): Command {
  const table = description.options
  const places = Object.entries(table).filter(([, option]) => option.positional)
  const words = places.map(([key, { kind }]) => `[${key}${kind.list ? '..' : ''}]`)
  return {
    description,
    command: [description.name.split(' ').at(-1), ...words].join(' '),
    describe: description.summary,
    builder: (yargs) => {
      yargs.usage(`$0 ${usage(description)}\n\n${[description.summary, description.details].filter(Boolean).join(' ')}`)
      for (const example of description.examples ?? []) yargs.example(`$0 ${example}`, '')
      for (const [key, option] of places)
        yargs.positional(key, { describe: option.description, defaultDescription: defaultText(option) })
      for (const [key, option] of Object.entries({ ...table, ...configOption }))
        if (!option.positional) addOption(yargs, key, option)
      return yargs.fail((message, error) => {
        throw parseFailure(message, error, table)
      })
    },
    handler: async (given) => {
      const layers = [
        commandLineLayer({ ...table, ...configOption }, { ...given, ...spelledFlags(table) }),
        environmentLayer({ ...table, ...configOption }, process.env),
      ]
      const { config } = resolveOptions(configOption, ...layers)
      if (config !== undefined) layers.push(await fileLayer(table, config))
      const preset = 'preset' in table ? presetOf(table, layers) : undefined
      if (preset) layers.push(presetLayer(table, preset))
      const progress = terminalProgress()
      if (preset) progress.say(describePreset(preset))
      const { signal, release } = listenForSignals((line) => progress.warn(line))
      try {
        const options = resolveOptions(table, ...layers)
        await description.run(options, { progress, signal, print: (result) => process.stdout.write(`${result}\n`) })
        // Work that stopped tidily where it can go on was stopped all the same.
        signal.throwIfAborted()
      } finally {
        progress.close()
        release()
      }
    },
  }
}

/** The preset that the layers name; its values lie beneath all of theirs. */
function presetOf(table: OptionTable, layers: readonly Layer[]): PresetName | undefined {
  const { preset } = resolveOptions({ preset: table.preset! }, ...layers)
  return preset as PresetName | undefined
}

/** Commands under one word. */
export interface Family extends CommandModule {
  readonly members: readonly Command[]
}

/** A word that only gathers commands: "weights" of "weights show". */
export function family(name: string, summary: string, members: readonly Command[]): Family {
  return {
    members,
    command: name,
    describe: summary,
    builder: (yargs) =>
      members
        .reduce((parent, member) => parent.command(member), yargs)
        .demandCommand(1, `Say which: semgen-native ${name} ${members.map(shortName).join('|')}.`),
    handler: () => {},
  }
}

/** "train PATH --out RUN [options]" */
export function usage({ name, options }: Omit<CommandDescription<OptionTable>, 'run'>): string {
  const entries = Object.entries(options)
  const places = entries
    .filter(([, option]) => option.positional)
    .map(([, { kind, required }]) => {
      const place = `${kind.placeholder}${kind.list ? '...' : ''}`
      return required ? place : `[${place}]`
    })
  const named = entries
    .filter(([, option]) => option.required && !option.positional)
    .map(([key, { kind }]) => `${optionName(key)} ${kind.placeholder}`)
  return [name, ...places, ...named, '[options]'].join(' ')
}

const shortName = (member: Command): string => member.description.name.split(' ').at(-1)!

function addOption(yargs: Argv, key: string, option: Option): void {
  const { kind, description, group } = option
  const takesValue = kind.placeholder !== ''
  const names = takesValue && kind.placeholder.includes('|') ? ` (${kind.expects})` : ''
  yargs.option(optionName(key).slice(2), {
    describe: `${description}${names}`,
    defaultDescription: defaultText(option),
    group: `${group ?? 'Options'}:`,
    ...(takesValue ? { nargs: 1, requiresArg: true } : { type: 'boolean' as const }),
  })
}

/** Flags given with a value: yargs takes any word but "true" for false, and --json=maybe is to be refused. */
function spelledFlags(table: OptionTable): Record<string, string> {
  const flags = Object.entries(table).filter(([, { kind }]) => kind.placeholder === '')
  return Object.fromEntries(
    flags.flatMap(([key]) => {
      const start = `${optionName(key)}=`
      const word = process.argv.find((argument) => argument.startsWith(start))
      return word === undefined ? [] : [[key, word.slice(start.length)]]
    }),
  )
}

/** What a failed parse throws: the command's own error, or yargs' complaint as a sentence that helps. */
export function parseFailure(message: string, error: Error | undefined, table: OptionTable = {}): Error {
  if (error && error.name !== 'YError') return error
  const complaint = message ?? error?.message
  const meant = /^Did you mean (.*)\?$/.exec(complaint)?.[1]
  if (meant) return usageError(`There is no such command; is ${meant} meant?`)
  const strays = /^Unknown (?:argument|command)s?: (.*)$/.exec(complaint)?.[1]?.split(', ')
  const word = strays?.find((stray) => process.argv.includes(stray))
  if (word !== undefined)
    return usageError(
      `There is no ${Object.keys(table).length > 0 ? 'place for' : 'command'} ${shown(word)}: see --help.`,
    )
  if (strays) {
    const names = [...Object.keys(table), 'config', 'help', 'version'].map((key) => optionName(key).slice(2))
    const known = closest(strays[0]!, names)
    return usageError(`There is no option --${strays[0]}${known ? `; is --${known} meant?` : ': see --help.'}`)
  }
  const bare = /^Not enough arguments following: (.*)$/.exec(complaint)?.[1]
  return usageError(bare ? `--${bare} needs a value.` : complaint)
}
