import { SemgenError } from '../../errors.js'
import { TorchTensor } from './values.js'

/** Under which name checkpoints keep the network's state dict: the published ones under the first. */
const stateNames = ['state_dict', 'model_state_dict', 'model_state', 'model', 'network', 'net', 'weights', 'params']
/** Moments and counters of optimizers, schedules and loss scalers: no part of the network. */
const training = /optim|sched|scaler/i
/** Dicts within dicts. The published files have two levels. */
const depthLimit = 8
/** Values looked at: a hostile pickle may hold one dict in many places. */
const visitLimit = 1_000_000

/**
 * The network's tensors in what torch.save was given: a state dict, or a checkpoint that holds one. Nested dicts are
 * joined by dots. The optimizer's state is left out.
 * @returns the tensors by key, and the plain values beside them (epoch, best_loss, usage) as text
 * @throws SemgenError BAD_FILE when there is no tensor
 */
export function findState(
  path: string,
  root: unknown,
): { tensors: Map<string, TorchTensor>; metadata: Record<string, string> } {
  if (!(root instanceof Map))
    throw new SemgenError(
      'BAD_FILE',
      `${path} holds no dict of tensors: save a network's state_dict() with torch.save.`,
    )
  const tensors = new Map<string, TorchTensor>()
  let visits = 0
  const visit = (dict: ReadonlyMap<unknown, unknown>, prefix: string, depth: number) => {
    for (const [key, value] of dict) {
      if (++visits > visitLimit || depth > depthLimit)
        throw new SemgenError('UNSUPPORTED', `${path} was refused: its dicts are nested far deeper than weights are.`)
      if (!isKey(key)) continue
      const name = `${prefix}${key}`
      if (value instanceof TorchTensor) tensors.set(name, value)
      else if (value instanceof Map && !training.test(String(key))) visit(value, `${name}.`, depth + 1)
    }
  }
  const named = stateNames.map((name) => root.get(name)).find((value) => value instanceof Map)
  visit(named ?? root, '', 0)
  if (tensors.size === 0)
    throw new SemgenError('BAD_FILE', `${path} holds no tensors: save a network's state_dict() with torch.save.`)
  return { tensors, metadata: plainValues(root) }
}

/** Dicts of weights have no other keys, and a tuple of tuples may be endless as text. */
const isKey = (key: unknown): key is string | number => typeof key === 'string' || typeof key === 'number'

function plainValues(root: ReadonlyMap<unknown, unknown>): Record<string, string> {
  const values: [string, string][] = []
  const usage = root.get('usage')
  for (const [key, value] of usage instanceof Map ? [...root, ...usage] : root)
    if (isKey(key) && (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'))
      values.push([String(key), String(value)])
  return Object.fromEntries(values)
}
