import { type FinetuneOptions, givenOptions, type OptionTable } from '../config/index.js'
import { SemgenError } from '../errors.js'

type TaskName = FinetuneOptions['task']

/** What finetune, compare and predict take for one task alone, and where there is more to say than to leave it out, that. */
const taskOptions: Readonly<Record<string, readonly [task: TaskName, instead?: string]>> = {
  channels: ['segment', 'a list of labelled images has a column a channel, image1, image2, ...'],
  labels: ['segment', 'classes are those of the labels in --data'],
  loss: ['segment'],
  foreground: ['segment'],
  overlap: ['segment'],
  probabilities: ['segment', 'predictions.csv has those of every class'],
  format: ['segment'],
  candidates: ['classify', 'places in scans have classes, and no masks'],
  fit: ['classify'],
  classWeights: ['classify'],
  part: ['classify'],
}

/**
 * Refuses what was given and would do nothing. What is left at its default, or set by a preset, is no one's wish.
 * @param options as they were asked for
 * @param weights of predict: those that say the task
 * @throws SemgenError BAD_OPTION
 */
export function checkTaskOptions(table: OptionTable, options: object, task: TaskName, weights?: string): void {
  for (const [key, origin] of givenOptions(table, options)) {
    const [its, instead = 'leave it out'] = taskOptions[key] ?? [task]
    if (its === task) continue
    const sentence =
      weights === undefined
        ? `${origin} is for --task ${its}, and this is --task ${task}`
        : `${origin} is for weights that ${its}, and ${weights} ${task === 'segment' ? 'segments' : 'classifies'}`
    throw new SemgenError('BAD_OPTION', `${sentence}: ${instead}.`)
  }
}

/** What --augment-strength changes. */
const strengthened = ['rotations', 'scaling', 'intensity']

/**
 * checkTaskOptions for a fine-tuning, and what of its options would do nothing beside others.
 * @param asked as given now
 * @param options of the run: those, or where it goes on its own
 * @throws SemgenError BAD_OPTION
 */
export function checkFinetuneOptions(
  table: OptionTable,
  asked: object,
  { task, augment, data, candidates }: Pick<FinetuneOptions, 'task' | 'augment' | 'data' | 'candidates'>,
): void {
  checkTaskOptions(table, asked, task)
  const given = givenOptions(table, asked)
  if (candidates !== undefined && given.has('fit'))
    throw new SemgenError(
      'BAD_OPTION',
      `${given.get('fit')} is for whole images, and --candidates cuts a cube about each place: leave it out.`,
    )
  const ofScans = given.get('modality') ?? given.get('spacing')
  if (ofScans !== undefined && candidates === undefined && /\.npz$/i.test(data))
    throw new SemgenError(
      'BAD_OPTION',
      `${ofScans} is for scans, and the images of ${data} have neither unit nor voxel size: leave it out.`,
    )
  const strength = given.get('augmentStrength')
  if (strength !== undefined && augment && !augment.some((name) => strengthened.includes(name)))
    throw new SemgenError(
      'BAD_OPTION',
      `${strength} is for rotations, scaling and intensity, and --augment ${augment.join(',')} has none of them: leave one of the two out.`,
    )
}
