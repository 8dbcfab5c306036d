import { choice, decimal, flag, text, whole } from './kinds.js'
import { chosen, group, type OptionsOf, option, positional, required } from './options.js'

export const evaluateOptions = {
  ...group('Cases', {
    predictions: positional(
      required(
        text('PREDICTIONS', 'a folder of label maps, or a .csv'),
        'segment: a folder as predict writes it, or a .csv with the columns id and path. classify: a .csv with id and a score a class. detect: a .csv of marks with scores.',
      ),
    ),
    truth: positional(
      required(
        text('TRUTH', 'a folder of label maps, or a .csv'),
        'segment: a folder of label maps, what finetune --data takes, or a .csv with id and label. classify: a .csv with id and label. detect: a .csv of nodules with diameters.',
      ),
    ),
    images: chosen(
      text('IMAGES', 'a folder or .csv of images'),
      'those that the truth names',
      'segment: images to show beneath the outlines.',
    ),
    missing: option(
      choice('error', 'empty', 'skip'),
      'error',
      'What to do about cases without a prediction that can be compared: refuse, take it for empty, or leave them out.',
    ),
  }),
  ...group('Comparison', {
    task: option(choice('segment', 'classify', 'detect'), 'segment', 'What was predicted.'),
    labels: chosen(
      text('LABELS', 'labels ("1,2") or groups of them ("whole=1,2,4;core=1,4")'),
      'every label that occurs',
      'segment: labels of the truth to compare, each by itself, or named groups.',
    ),
    predictedLabels: chosen(
      text('LABELS', 'as --labels'),
      'those of --labels',
      'segment: the same outputs in the predictions ("whole=1,2;core=2" where predict numbered groups).',
    ),
    tolerance: chosen(decimal(0, 1000), '1', 'segment: millimetres within which surfaces agree, for surface Dice.'),
    ignore: chosen(
      text('FILE', 'a .csv of regions'),
      'none',
      'detect: a .csv as the truth’s, of regions where marks count for nothing.',
    ),
    scans: chosen(
      text('FILE', 'a list of scans, one a line'),
      'those of both tables',
      'detect: the scans that were looked at, one a line, also those without a nodule or a mark.',
    ),
    seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0, 'The redrawings behind the intervals follow from it.'),
  }),
  ...group('Result', {
    out: required(text('DIR', 'a folder for the result'), 'Folder for evaluation.json, cases.csv and evaluation.html.'),
    force: option(flag, false, 'Replace an evaluation that the folder holds.'),
  }),
}

/** What evaluate works with: every option read, checked and filled in. */
export type EvaluateOptions = OptionsOf<typeof evaluateOptions>
