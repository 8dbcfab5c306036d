import { voxelCount } from '../extents.js'
import { writeAtomically } from '../files.js'
import { EvaluationStep, type Network } from '../nn/index.js'
import type { Perturbation } from '../perturb/index.js'
import { Random } from '../random.js'
import type { SamplesFile } from '../report/run-files.js'
import type { CropSource } from './crops.js'
import { type CubeMaker, squaredDistance } from './cubes.js'
import { labelOf, needsPatterns, type Recipe } from './recipes.js'
import type { Sample } from './sampler.js'

/** Triplets in a report. */
const most = 8

export interface SamplesJob {
  readonly network: Network
  readonly recipe: Recipe
  readonly maker: CubeMaker
  readonly validationCrops: CropSource
  /** Millimetres of a prepared scan's voxels, by id. */
  readonly spacings: ReadonlyMap<string, readonly [number, number, number]>
  readonly seed: number
  /** Steps that the network's weights have behind them. */
  readonly step: number
}

/**
 * Writes samples.json and samples.bin (run-files.ts says what they hold): held-out cubes, perturbed as in every
 * validation, restored by the network as it is. For recipes that do not restore there is nothing to show.
 */
export async function writeSamples(job: SamplesJob, files: { samples: string; sampleVoxels: string }): Promise<void> {
  const { network, recipe, maker, validationCrops } = job
  if (!recipe.stages.some(({ restorationWeight }) => restorationWeight > 0)) return
  const { patch } = network.shape
  const voxels = voxelCount(patch)
  const order = shownCrops(validationCrops.size, job.seed)
  const count = order.length
  const bytes = new Uint8Array(3 * count * voxels)
  const samples: SamplesFile['samples'] = []
  const step = new EvaluationStep(network, {
    batch: 1,
    restorationWeight: 1,
    classificationWeight: network.shape.classes > 0 ? 1 : 0,
  })
  try {
    for (let i = 0; i < count; i++) {
      const index = order[i]!
      const sample: Sample = { crop: validationCrops.crop(0, index), pass: 0, index }
      const { crop } = sample
      step.labels.write(await maker.make('validation', [sample], step))
      await step.run()
      const [input, target] = [step.input.read(), step.target.read()]
      const restored = step.output!.read<Float32Array>()
      const spacing = job.spacings.get(crop.scan)!
      const perturbation = maker.draw('validation', sample)
      const logits = needsPatterns(recipe) ? step.logits?.read<Float32Array>() : undefined
      samples.push({
        scan: crop.scan,
        ...(logits ? answer(recipe, crop.label, perturbation, logits) : {}),
        spacing: [0, 1, 2].map((axis) => (spacing[axis]! * crop.size[axis]!) / patch[axis]!) as [
          number,
          number,
          number,
        ],
        perturbation: inWords(perturbation),
        perturbedError: squaredDistance(input, target) / voxels,
        restoredError: squaredDistance(restored, target) / voxels,
      })
      ;[target, input, restored].forEach((values, part) => {
        const at = (3 * i + part) * voxels
        for (let v = 0; v < voxels; v++) bytes[at + v] = Math.round(255 * Math.min(1, Math.max(0, values[v]!)))
      })
    }
  } finally {
    step.dispose()
  }
  const file: SamplesFile = { version: 1, step: job.step, shape: [...patch], samples }
  await writeAtomically(files.sampleVoxels, bytes)
  await writeAtomically(files.samples, `${JSON.stringify(file, null, 1)}\n`)
}

/** Which held-out crops are shown. They have the patterns in turn: equal steps through them could meet one pattern alone. */
export const shownCrops = (held: number, seed: number): Uint32Array =>
  new Random(seed, 'samples').permutation(held).subarray(0, most)

/** The pattern, and the one that the network named. */
function answer(recipe: Recipe, pattern: number, perturbation: Perturbation, logits: Float32Array) {
  const named = logits.indexOf(Math.max(...logits))
  // Where the head names pattern and rotation at once, four answers belong to a pattern.
  const answers = recipe.question === 'pattern-and-rotation' ? 4 : 1
  return {
    pattern: Math.floor(labelOf(recipe, pattern, perturbation) / answers),
    named: Math.floor(named / answers),
  }
}

const words: Record<Perturbation['steps'][number]['kind'], string> = {
  elastic: 'elastic',
  shuffling: 'local shuffling',
  nonlinear: 'non-linear intensity',
  inpainting: 'in-painting',
  outpainting: 'out-painting',
  rotation: 'rotation',
}

/** "mirrored, elastic, out-painting" */
export function inWords({ flips, steps }: Perturbation): string {
  const parts = [...(flips.some((flip) => flip) ? ['mirrored'] : []), ...steps.map(({ kind }) => words[kind])]
  return parts.join(', ') || 'none'
}
