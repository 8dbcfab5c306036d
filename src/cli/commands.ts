import { bench } from './bench.js'
import type { Command, Family } from './command.js'
import { compare } from './compare.js'
import { discover } from './discover.js'
import { doctor } from './doctor.js'
import { evaluate } from './evaluate.js'
import { finetune } from './finetune.js'
import { inspect } from './inspect.js'
import { phantom } from './phantom.js'
import { plan } from './plan.js'
import { predict } from './predict.js'
import { report } from './report.js'
import { train } from './train.js'
import { weights } from './weights.js'

/** Every command, in the order of the work. */
export const commands: readonly (Command | Family)[] = [
  inspect,
  discover,
  train,
  finetune,
  predict,
  evaluate,
  compare,
  report,
  plan,
  phantom,
  weights,
  doctor,
  bench,
]
