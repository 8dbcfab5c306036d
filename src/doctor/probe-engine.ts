import { addon, type EngineName } from '../engine/addon.js'
import { reason } from '../errors.js'

/** The program that `examineEngines` runs: loads the engine named by its argument and prints what it is, as JSON. */
function probe(engine: EngineName): object {
  try {
    const { library, instructions, bf16, unavailable } = addon(engine).about
    return unavailable === undefined ? { library, instructions, bf16 } : { why: `It is built, but ${unavailable}.` }
  } catch (error) {
    return { why: reason(error) }
  }
}

process.stdout.write(JSON.stringify(probe(process.argv[2] as EngineName)))
