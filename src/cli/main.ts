import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { printable } from '../format.js'
import { programVersion } from '../version.js'
import { coloursFor } from './colours.js'
import { parseFailure } from './command.js'
import { commands } from './commands.js'
import { explain, trace } from './failure.js'

/** Says what went wrong and ends the program: work of other threads may be under way, and nobody waits for it any more. */
function fail(error: unknown): never {
  const { message, exitCode } = explain(error)
  process.stderr.write(`${coloursFor(process.stderr).red('error:')} ${printable(message)}\n`)
  if (process.env.SEMGEN_DEBUG === '1') process.stderr.write(`${trace(error)}\n`)
  process.exit(exitCode)
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough ("... | head") is no failure.
  if (error.code === 'EPIPE') process.exit(0)
  fail(error)
})

try {
  const cli = yargs(hideBin(process.argv))
    .scriptName('semgen-native')
    .usage('$0 <command> [options]\n\nLearns from unlabelled medical images and leaves a pre-trained 3-D network.')
    .parserConfiguration({
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'dot-notation': false,
    })
    .locale('en')
    .version(programVersion())
    .alias({ help: 'h', version: 'V' })
    .strict()
    .recommendCommands()
    .demandCommand(1, 'Say what to do: see semgen-native --help.')
    .epilogue('Options are also read from the environment (SEMGEN_BASE_WIDTH for --base-width) and from --config FILE.')
    .exitProcess(false)
    .fail((message, error) => {
      throw parseFailure(message, error)
    })
  for (const command of commands) cli.command(command)
  await cli.wrap(Math.min(110, cli.terminalWidth())).parseAsync()
} catch (error) {
  fail(error)
}
