export { type EvaluationResult, evaluate } from './evaluate.js'
