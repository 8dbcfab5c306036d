import { SemgenError, shown } from '../errors.js'
import { type Network, type NetworkShape, stateLayout, type TensorLayout } from '../nn/index.js'
import { kindOf } from './kinds.js'
import { keyPrefix } from './network-shape.js'
import { asFloat32, isFloat } from './numbers.js'
import { elements } from './safetensors.js'
import type { WeightsFile } from './weights-file.js'

/**
 * `loaded`: taken as it is. `renamed`: so, under another key. `adapted`: its numbers were changed to fit. `skipped`: in
 * the file, and not taken. `missing`: in the network, and not in the file: it stays as it was.
 */
export type Outcome = 'loaded' | 'renamed' | 'adapted' | 'skipped' | 'missing'

/** What became of one tensor, and why. */
export interface FittedTensor {
  /** In the network; in the file where the network has none. */
  readonly key: string
  readonly outcome: Outcome
  /** In the file, where it differs. */
  readonly from?: string
  readonly note?: string
  readonly elements: number
}

/** What loading weights into a network did, tensor by tensor. */
export interface Fit {
  readonly path: string
  readonly tensors: readonly FittedTensor[]
  /** Parameters and statistics that the network has now from the file, and has in all. */
  readonly taken: number
  readonly total: number
}

/**
 * The tensors of a file that fit a network. Keys are compared without what stands before all of them in the file. The
 * first layer is spread over another number of channels; layers that end in another number of outputs start fresh.
 * @param except keys of the network that are to start fresh whatever the file holds
 * @throws SemgenError BAD_CHECKPOINT when not one kernel fits, or a number is none; BAD_FILE, IO
 */
export async function fitWeights(
  file: WeightsFile,
  shape: NetworkShape,
  except: (key: string) => boolean = () => false,
): Promise<{ values: Map<string, Float32Array | Int32Array>; fit: Fit }> {
  const prefix = keyPrefix(file) ?? ''
  const values = new Map<string, Float32Array | Int32Array>()
  const tensors: FittedTensor[] = []
  const used = new Set<string>()
  const layouts = new Map(stateLayout(shape).map((layout) => [layout.key, layout]))
  for (const [key, layout] of layouts) {
    const from = file.entries.has(`${prefix}${key}`) ? `${prefix}${key}` : key
    const found = file.entries.get(from)
    const about = { key, elements: elements(layout.shape), ...(from === key ? {} : { from }) }
    if (!found) {
      tensors.push({ ...about, outcome: 'missing' })
      continue
    }
    used.add(from)
    const plan = except(key) ? 'is to start fresh' : planFor(layout, found.shape, isFloat(found.dtype))
    if (typeof plan === 'string') {
      tensors.push({ ...about, outcome: 'skipped', note: plan })
      continue
    }
    const stored = await file.read(from)
    values.set(
      key,
      layout.dtype === 'i32'
        ? Int32Array.from(stored.data, Number)
        : finite(file.path, from, plan.change(asFloat32(stored))),
    )
    const note = plan.note ?? (layout.dtype === 'f32' && found.dtype !== 'F32' ? `from ${found.dtype}` : undefined)
    const outcome = note ? 'adapted' : from === key ? 'loaded' : 'renamed'
    tensors.push({ ...about, outcome, ...(note ? { note } : {}) })
  }
  for (const [key, entry] of file.entries)
    if (!used.has(key) && kindOf(key) !== 'optimizer')
      tensors.push({ key, outcome: 'skipped', note: 'not in this network', elements: elements(entry.shape) })
  const fit = { path: file.path, tensors, ...counted(tensors) }
  // Counters and single biases fit anything.
  if (![...values.keys()].some((key) => layouts.get(key)!.shape.length > 1))
    throw new SemgenError(
      'BAD_CHECKPOINT',
      `${file.path} shares no kernel with this network (base width ${shape.baseWidth}, depth ${shape.depth}): compare them with "weights show".`,
    )
  return { values, fit }
}

/**
 * Puts into a network what fits of a file; the rest stays as it is.
 * @throws SemgenError as fitWeights; the network is then unchanged
 */
export async function loadPartly(file: WeightsFile, network: Network, except?: (key: string) => boolean): Promise<Fit> {
  const { values, fit } = await fitWeights(file, network.shape, except)
  for (const [key, value] of values) network.tensors.get(key)!.write(value)
  return fit
}

interface Plan {
  readonly note?: string
  change(values: Float32Array): Float32Array
}

/** How a tensor of the file fills one of the network, or why it does not. */
function planFor(layout: TensorLayout, found: readonly number[], float: boolean): Plan | string {
  const { key, shape, dtype } = layout
  const there = `[${found.join(', ')}] there, [${shape.join(', ')}] here`
  if (dtype === 'i32') return elements(found) === 1 && !float ? { change: (values) => values } : there
  if (!float) return 'holds no floating-point numbers'
  if (found.join() === shape.join()) return { change: (values) => values }
  const differing = found.length === shape.length ? shape.flatMap((extent, i) => (extent === found[i] ? [] : [i])) : []
  if (differing.join() === '1' && key.endsWith('down_tr64.ops.0.conv1.weight'))
    return {
      note: `spread from ${found[1]} to ${shape[1]} input channels: their mean, scaled to the same sum`,
      change: (values) => spread(values, found, shape[1]!),
    }
  if (differing.join() === '0' && /(^|\.)(final_conv|fc1|fc)\.(weight|bias)$/.test(key))
    return `${found[0]} outputs there, ${shape[0]} here: starts fresh`
  return there
}

/**
 * First-layer kernels [O, from, 27 taps] for `to` channels: each new channel gets the sum over the old ones divided by
 * `to`, so that an image repeated in every channel gives what the mean image gave before.
 */
function spread(values: Float32Array, shape: readonly number[], to: number): Float32Array {
  const [outputs, from] = [shape[0]!, shape[1]!]
  const taps = elements(shape.slice(2))
  const result = new Float32Array(outputs * to * taps)
  for (let o = 0; o < outputs; o++)
    for (let tap = 0; tap < taps; tap++) {
      let sum = 0
      for (let i = 0; i < from; i++) sum += values[(o * from + i) * taps + tap]!
      for (let i = 0; i < to; i++) result[(o * to + i) * taps + tap] = sum / to
    }
  return result
}

function counted(tensors: readonly FittedTensor[]): { taken: number; total: number } {
  let taken = 0
  let total = 0
  for (const { outcome, note, elements: count } of tensors) {
    if (outcome === 'skipped' && note === 'not in this network') continue
    total += count
    if (outcome !== 'skipped' && outcome !== 'missing') taken += count
  }
  return { taken, total }
}

/**
 * A ReLU makes 0 of what is no number, so that a damaged network predicts, and plausibly.
 * @throws SemgenError BAD_CHECKPOINT, naming file and key
 */
function finite(path: string, key: string, values: Float32Array): Float32Array {
  if (values.every(Number.isFinite)) return values
  throw new SemgenError(
    'BAD_CHECKPOINT',
    `${path} holds values in ${shown(key)} that are no finite numbers: it is damaged.`,
  )
}

/** The fit for people, a line each: the sum, then whatever was not simply loaded, like tensors together. */
export function fitLines({ path, tensors, taken, total }: Fit): string[] {
  const count = (outcome: Outcome) => tensors.filter((tensor) => tensor.outcome === outcome).length
  const sums = (['loaded', 'renamed', 'adapted', 'skipped', 'missing'] as const)
    .map((outcome) => `${count(outcome)} ${outcome}`)
    .join(', ')
  const groups = new Map<string, FittedTensor[]>()
  for (const tensor of tensors) {
    if (tensor.outcome === 'loaded') continue
    const note = tensor.outcome === 'renamed' ? renaming(tensor) : (tensor.note ?? 'stays as initialised')
    const name = `${tensor.outcome.padEnd(8)} ${note}`
    const group = groups.get(name)
    if (group) group.push(tensor)
    else groups.set(name, [tensor])
  }
  return [
    `${path}: ${sums}; ${((100 * taken) / total).toFixed(1)} % of the network's numbers come from it.`,
    ...[...groups].map(([name, [first, ...more]]) => {
      const others = more.length > 0 ? ` and ${more.length} more, to ${more.at(-1)!.key}` : ''
      return `${name}: ${first!.key}${others}`
    }),
  ]
}

const renaming = ({ key, from }: FittedTensor) => `by "${from!.slice(0, -key.length)}" before it there`
