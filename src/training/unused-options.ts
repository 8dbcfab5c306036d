import { discoveryOptions, listed, optionName, type TrainOptions, trainOptions } from '../config/index.js'
import { SemgenError } from '../errors.js'
import { scheduleUnder } from './planning.js'
import { makeRecipe, namesPatterns, needsPatterns } from './recipes.js'

type Key = keyof TrainOptions

/** What says how patterns are found; the patch is the network's, too. */
const ofDiscovery = (Object.keys(discoveryOptions) as (keyof typeof discoveryOptions)[]).filter(
  (key) => key !== 'patch',
)

/**
 * Refuses options that would do nothing: those that the recipe has no use for, those of a schedule that is not
 * taken, and those of a discovery where patterns are given. What is at its default counts as not given, wherever it came from: a run's config.json holds every option.
 * @throws SemgenError BAD_OPTION naming all of them
 */
export function refuseUnused(options: TrainOptions): void {
  const unused = unusedBy(options)
  if (unused.length > 0) {
    const better = unusedBy({ ...options, semantics: true }).length === 0
    throw new SemgenError(
      'BAD_OPTION',
      `The recipe ${options.recipe} has no use for ${named(unused)}: ${left(unused)}${better ? ', or see --semantics' : ''}.`,
    )
  }
  const { schedule = scheduleUnder(options.maxTime) } = options
  if (schedule !== 'step' && given(options, 'halveEvery'))
    throw new SemgenError(
      'BAD_OPTION',
      `--halve-every is for --schedule step, and the learning rate falls by --schedule ${schedule}: leave one of the two out.`,
    )
  const found = options.patterns === undefined ? [] : ofDiscovery.filter((key) => given(options, key))
  if (found.length > 0)
    throw new SemgenError(
      'BAD_OPTION',
      `--patterns gives the patterns, and none are discovered, which is all that ${named(found)} ${found.length > 1 ? 'are' : 'is'} for: ${left(found)}.`,
    )
}

/** Given options that change nothing of what the recipe does. */
function unusedBy(options: TrainOptions): Key[] {
  // Which stages there are does not depend on the weights, and these may be what is refused.
  const recipe = makeRecipe({ ...options, perturbation: undefined, restorationWeight: 1, classificationWeight: 1 })
  const useless: Key[] = []
  if (!needsPatterns(recipe)) useless.push('patterns', ...ofDiscovery)
  // A loss alone counts as it is, and a task alone has one stage.
  if (recipe.stages.at(-1)!.name !== 'joint') useless.push('stages', 'restorationWeight', 'classificationWeight')
  // It names patterns as it is.
  if (namesPatterns(options.recipe)) useless.push('semantics')
  return useless.filter((key) => given(options, key))
}

const given = (options: TrainOptions, key: Key): boolean =>
  JSON.stringify(options[key]) !== JSON.stringify(trainOptions[key].fallback)

const named = (keys: readonly Key[]): string => listed(keys.map(optionName), 'and')

const left = (keys: readonly Key[]): string => `leave ${keys.length > 1 ? 'them' : 'it'} away`
