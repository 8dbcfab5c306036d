import { evaluateOptions } from '../config/index.js'
import { command } from './command.js'

export const evaluate = command({
  name: 'evaluate',
  summary: 'Compare predictions with what is true: per case and overall, as JSON, CSV and a page.',
  details:
    'Masks by Dice, IoU, surface Dice and 95 % Hausdorff distance; scores by AUC and average precision; marks of nodules by the ' +
    'free-response curve. Cases are paired by the names of their files. What is missing, empty or on another grid follows stated ' +
    'rules, and is told.',
  examples: [
    'evaluate predicted/ task/ --out scores --missing skip',
    'evaluate predicted/ labels/ --images images/ --labels "whole=1,2;core=2" --out scores',
    'evaluate scores.csv truth.csv --task classify --out scores',
    'evaluate marks.csv annotations.csv --task detect --scans seriesuids.csv --out scores',
  ],
  options: evaluateOptions,
  async run(options, { progress, signal, print }) {
    const { evaluate } = await import('../evaluation/index.js')
    const { evaluationReport } = await import('./evaluation-report.js')
    const { result, page } = await evaluate(options, progress, signal)
    print(evaluationReport(result))
    progress.say(`Written: ${page}`)
  },
})
