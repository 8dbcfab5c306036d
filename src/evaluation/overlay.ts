import sharp from 'sharp'
import type { Extents } from '../extents.js'
import { type Html, html } from '../report/html.js'
import { dataUri } from '../report/slices.js'
import type { ComparedOutput } from './compare-maps.js'
import { gridsDiffer, labelsOf, openVolume } from './label-map.js'
import type { SegmentedCase } from './segmentation.js'

type Colour = readonly [number, number, number]

/** Outlines in colours that the colour-blind tell apart. */
export const outlineColours = { truth: [86, 180, 233], prediction: [230, 159, 0], both: [255, 255, 255] } as const

/** Pixels of a picture's longer side. */
const size = 320
/** Millimetres, at least, around what is outlined. */
const surroundings = 8

/** Axes (0 to the right, 1 to the front, 2 to the head) along rows and down columns, and the one that is cut. */
const planes = [
  { name: 'axial', across: 0, down: 1, cut: 2 },
  { name: 'coronal', across: 0, down: 2, cut: 1 },
  { name: 'sagittal', across: 1, down: 2, cut: 0 },
] as const
type Plane = (typeof planes)[number]

/** A case as it is drawn. */
interface Scene {
  readonly shape: Extents
  readonly spacing: Extents
  readonly image: Float32Array | undefined
  /** A bit an output. */
  readonly truth: Uint32Array
  readonly prediction: Uint32Array
  /** What the pictures show: the masks and their surroundings. */
  readonly start: Extents
  readonly end: Extents
}

/**
 * Truth and prediction of a case as outlines on its image, where it is known: in each plane the slice that holds most of
 * both. The patient's right is on the left, front and head are up.
 * @param outputs at most 32 are drawn
 */
export async function overlays(of: SegmentedCase, outputs: readonly ComparedOutput[]): Promise<Html> {
  const { scene, note } = await sceneOf(of, outputs.slice(0, 32))
  const pictures = await Promise.all(
    planes.map(async (plane) => {
      const { pixels, width, height, slice } = draw(scene, plane)
      const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer()
      return html`<div><p class="label">${plane.name}, slice ${slice + 1} of ${scene.shape[plane.cut]}</p>
<img src="${dataUri(png, 'png')}" style="margin:auto" alt="${`${of.id}, ${plane.name} plane, truth and prediction as outlines`}"></div>`
    }),
  )
  return html`<div class="triplet">${pictures}</div>${note && html`<p>${note}</p>`}`
}

async function sceneOf(
  of: SegmentedCase,
  outputs: readonly ComparedOutput[],
): Promise<{ scene: Scene; note?: string }> {
  const file = await openVolume(of.truth)
  const { shape, spacing } = file
  const coded = (labels: Uint8Array, side: 'truth' | 'prediction') => {
    const codes = Uint32Array.from({ length: 256 }, (_, label) =>
      outputs.reduce((bits, output, o) => (output[side].includes(label) ? bits | (1 << o) : bits), 0),
    )
    return Uint32Array.from(labels, (label) => codes[label]!)
  }
  const truth = coded(labelsOf(file), 'truth')
  const prediction =
    of.prediction === null
      ? new Uint32Array(truth.length)
      : coded(await predictedLabels(of.prediction, outputs), 'prediction')
  const masks = { shape, spacing, truth, prediction, ...region(shape, spacing, truth, prediction) }
  if (of.image === undefined) return { scene: { ...masks, image: undefined } }
  try {
    const opened = await openVolume(of.image)
    const differ = gridsDiffer(opened, file)
    if (differ) return { scene: { ...masks, image: undefined }, note: `The image is not shown: ${differ}` }
    const image = new Float32Array(truth.length)
    opened.fill(image)
    return { scene: { ...masks, image } }
  } catch (error) {
    return { scene: { ...masks, image: undefined }, note: `The image is not shown: ${(error as Error).message}` }
  }
}

/** A prediction was read before, so it is labels, or the probabilities of a single output. */
async function predictedLabels(path: string, outputs: readonly ComparedOutput[]): Promise<Uint8Array> {
  const file = await openVolume(path)
  const odd = file.noLabel()
  if (odd === undefined) return labelsOf(file)
  const values = new Float32Array(file.shape[0] * file.shape[1] * file.shape[2])
  file.fill(values)
  return Uint8Array.from(values, (value) => (value > 0.5 ? outputs[0]!.prediction[0]! : 0))
}

/** The box of both masks with half its size, and at least some millimetres, around; all where both are empty. */
function region(shape: Extents, spacing: Extents, truth: Uint32Array, prediction: Uint32Array) {
  const low = [...shape]
  const high = [0, 0, 0]
  let i = 0
  for (let x = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++) {
        if ((truth[i]! | prediction[i]!) === 0) continue
        low[0] = Math.min(low[0]!, x)
        low[1] = Math.min(low[1]!, y)
        low[2] = Math.min(low[2]!, z)
        high[0] = Math.max(high[0]!, x + 1)
        high[1] = Math.max(high[1]!, y + 1)
        high[2] = Math.max(high[2]!, z + 1)
      }
  if (high[0] === 0) return { start: [0, 0, 0] as const, end: shape }
  const around = shape.map((_, axis) =>
    Math.ceil(Math.max((high[axis]! - low[axis]!) / 4, surroundings / spacing[axis]!)),
  )
  return {
    start: low.map((at, axis) => Math.max(0, at - around[axis]!)) as unknown as Extents,
    end: high.map((at, axis) => Math.min(shape[axis]!, at + around[axis]!)) as unknown as Extents,
  }
}

function draw(scene: Scene, plane: Plane) {
  const { shape, spacing, start, end, truth, prediction, image } = scene
  const { across, down, cut } = plane
  const strides = [shape[1] * shape[2], shape[2], 1]
  const slice = fullestSlice(scene, plane)
  const extent = (axis: 0 | 1 | 2) => (end[axis] - start[axis]) * spacing[axis]
  const scale = size / Math.max(extent(across), extent(down))
  const width = Math.max(2, Math.round(extent(across) * scale))
  const height = Math.max(2, Math.round(extent(down) * scale))
  // Both axes run away from the upper left corner's side, so columns and rows run backwards.
  const place = (pixel: number, count: number, axis: 0 | 1 | 2) =>
    end[axis] - ((pixel + 0.5) / count) * (end[axis] - start[axis])
  const columns = Float64Array.from({ length: width }, (_, u) => place(u, width, across))
  const rows = Float64Array.from({ length: height }, (_, v) => place(v, height, down))
  const at = (row: number, column: number) => slice * strides[cut]! + row * strides[down]! + column * strides[across]!
  const pixels = new Uint8Array(3 * width * height)
  if (image) {
    const values = new Float32Array(width * height)
    for (let v = 0; v < height; v++)
      for (let u = 0; u < width; u++)
        values[v * width + u] = between(
          rows[v]! - 0.5,
          columns[u]! - 0.5,
          shape[down],
          shape[across],
          (r, c) => image[at(r, c)]!,
        )
    const sorted = values.filter(Number.isFinite).sort()
    const low = sorted[Math.floor(0.01 * (sorted.length - 1))] ?? 0
    const high = sorted[Math.ceil(0.99 * (sorted.length - 1))] ?? 1
    for (const [i, value] of values.entries()) {
      const grey = Math.round(Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * 225) || 0
      pixels.fill(grey, 3 * i, 3 * i + 3)
    }
  }
  const sampled = (mask: Uint32Array) => {
    const bits = new Uint32Array(width * height)
    for (let v = 0; v < height; v++)
      for (let u = 0; u < width; u++) bits[v * width + u] = mask[at(Math.floor(rows[v]!), Math.floor(columns[u]!))]!
    return outlined(bits, width, height)
  }
  const [inTruth, inPrediction] = [sampled(truth), sampled(prediction)]
  for (let i = 0; i < width * height; i++) {
    const colour: Colour | undefined =
      inTruth[i] && inPrediction[i]
        ? outlineColours.both
        : inTruth[i]
          ? outlineColours.truth
          : inPrediction[i]
            ? outlineColours.prediction
            : undefined
    if (colour) pixels.set(colour, 3 * i)
  }
  return { pixels, width, height, slice }
}

/** The slice with the most voxels of either mask, the middle one where there is none. */
function fullestSlice({ shape, start, end, truth, prediction }: Scene, { cut }: Plane): number {
  const counts = new Float64Array(shape[cut])
  let i = 0
  for (let x = 0; x < shape[0]; x++)
    for (let y = 0; y < shape[1]; y++)
      for (let z = 0; z < shape[2]; z++, i++)
        if (truth[i]! | prediction[i]!) counts[cut === 0 ? x : cut === 1 ? y : z]!++
  const most = Math.max(...counts)
  return most === 0 ? Math.floor((start[cut] + end[cut]) / 2) : counts.indexOf(most)
}

/** The pixels within two of a border of any output, inside of it. */
function outlined(bits: Uint32Array, width: number, height: number): Uint8Array {
  const border = new Uint8Array(bits.length)
  for (let v = 0; v < height; v++)
    for (let u = 0; u < width; u++) {
      const here = bits[v * width + u]!
      if (here === 0) continue
      let shared = here
      for (const [dv, du] of [
        [-1, 0],
        [1, 0],
        [0, -1],
        [0, 1],
        [-2, 0],
        [2, 0],
        [0, -2],
        [0, 2],
      ] as const) {
        const [y, x] = [v + dv, u + du]
        // What goes on beyond the picture has no border at its rim.
        if (y >= 0 && x >= 0 && y < height && x < width) shared &= bits[y * width + x]!
      }
      if (shared !== here) border[v * width + u] = 1
    }
  return border
}

/** Linear between the four nearest values, level beyond the outer ones. */
function between(
  row: number,
  column: number,
  rows: number,
  columns: number,
  value: (row: number, column: number) => number,
): number {
  const r0 = Math.min(rows - 1, Math.max(0, Math.floor(row)))
  const c0 = Math.min(columns - 1, Math.max(0, Math.floor(column)))
  const [r1, c1] = [Math.min(rows - 1, r0 + 1), Math.min(columns - 1, c0 + 1)]
  const fr = Math.min(1, Math.max(0, row - r0))
  const fc = Math.min(1, Math.max(0, column - c0))
  const above = value(r0, c0) * (1 - fc) + value(r0, c1) * fc
  const below = value(r1, c0) * (1 - fc) + value(r1, c1) * fc
  return above * (1 - fr) + below * fr
}
