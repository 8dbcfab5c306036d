import type { Run } from './read-run.js'

/** What the classification head of a run answers, as its page says it. */
export interface Answers {
  /** What its accuracy is called. */
  readonly accuracy: string
  /** How many answers there are of which one is right by chance; of a fine-tuning chance says little, and is not told. */
  readonly classes: number | undefined
}

const called: ReadonlyMap<string | undefined, string> = new Map([
  ['pattern', 'pattern accuracy'],
  ['rotation', 'rotation accuracy'],
  ['pattern-and-rotation', 'accuracy of pattern and rotation'],
])

export function answersOf({ configuration }: Run): Answers {
  if (!('value' in configuration)) return { accuracy: 'accuracy', classes: undefined }
  const { network, recipe, task } = configuration.value
  const { classes } = network
  return {
    accuracy: called.get(recipe?.question) ?? 'accuracy',
    classes: task === undefined && typeof classes === 'number' && classes > 0 ? classes : undefined,
  }
}

/** Whether a run has patterns, or is to have them: of one that cannot tell, so it is said. */
export function asksForPatterns({ configuration, patterns }: Run): boolean {
  if ('value' in patterns || !('value' in configuration)) return true
  return /^pattern/.test(configuration.value.recipe?.question ?? 'pattern')
}
