export { compare } from './compare.js'
export { type FinetuneResult, finetune } from './finetune.js'
export { predict } from './predict.js'
