import type { CommandModule } from 'yargs'
import { doctor } from './doctor.js'
import { report } from './report.js'
import { weights } from './weights.js'

/** Every command, in the order of the work. */
export const commands: readonly CommandModule[] = [report, weights, doctor]
