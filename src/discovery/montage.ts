import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SemgenError, shown } from '../errors.js'
import { type Extents, extentsText } from '../extents.js'
import { writeAtomically } from '../files.js'
import type { Progress } from '../progress.js'
import { Canvas, type Colour, type Picture } from './canvas.js'
import type { Box } from './frame.js'
import { letterHeight } from './glyphs.js'
import type { PatternClass, PatternCrop, PatternSet } from './patterns.js'
import { middleSlice, type Plane, planeAxes, planes, quantiles, windowed } from './slices.js'

/** What is needed of a prepared scan to show crops of it. */
export interface ShownScan {
  readonly id: string
  readonly shape: Extents
  readonly spacing: Extents
  readonly voxels: Uint16Array
}

/** Instances in a picture: the reference, training neighbours from the nearest to the farthest, held-out ones. */
const instances = { train: 7, validation: 3 }
/** Pixels. */
const tile = 112
const gap = 6
const margin = { left: 74, top: 34 }
const line = letterHeight + 5

const background: Colour = [24, 26, 30]
const white: Colour = [235, 235, 235]
const dim: Colour = [150, 152, 158]
/** Reference, training neighbours, held-out neighbours: colours that the colour-blind tell apart. */
const colours = { reference: [86, 180, 233], train: [150, 152, 158], validation: [230, 159, 0] } as const
const boxColour: Colour = [240, 228, 66]

/**
 * Draws a picture of every pattern, `pattern-00.png` and on, so that a person sees whether its crops are the same anatomy:
 * a column for each instance, with the crop's three middle slices, and where it lies in its whole scan. Pictures of former
 * patterns in the folder are removed.
 * @throws SemgenError NO_DATA when a pattern names a scan that is not there, IO; whatever the signal was aborted with
 */
export async function drawMontages(
  patterns: PatternSet,
  scans: readonly ShownScan[],
  folder: string,
  progress: Progress,
  signal?: AbortSignal,
): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  for (const name of await readdir(folder)) if (/^pattern-\d+\.png$/.test(name)) await rm(join(folder, name))
  const byId = new Map(scans.map((scan) => [scan.id, scan]))
  const digits = Math.max(2, String(patterns.classes.length - 1).length)
  const task = progress.begin('Montages', patterns.classes.length, 'patterns')
  const paths: string[] = []
  try {
    for (const [label, pattern] of patterns.classes.entries()) {
      signal?.throwIfAborted()
      const path = join(folder, `pattern-${String(label).padStart(digits, '0')}.png`)
      await writeAtomically(path, await drawPattern(patterns, pattern, label, byId))
      paths.push(path)
      task.advance()
    }
  } finally {
    task.end()
  }
  return paths
}

/** One instance's pictures: crop slices, then whole slices with the crop's outline. */
interface Column {
  readonly crop: PatternCrop
  readonly colour: Colour
  readonly slices: readonly Picture[]
  readonly wholes: readonly { readonly picture: Picture; readonly outline: Rectangle }[]
}

interface Rectangle {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

const wholePlanes = ['coronal', 'axial'] as const

async function drawPattern(
  { patch, frame, millimetres }: PatternSet,
  pattern: PatternClass,
  label: number,
  scans: ReadonlyMap<string, ShownScan>,
): Promise<Uint8Array> {
  const columns: Column[] = []
  for (const crop of shownCrops(pattern)) {
    const scan = scans.get(crop.scan)
    if (!scan)
      throw new SemgenError('NO_DATA', `Pattern ${label} was cropped from ${shown(crop.scan)}, which is not there.`)
    const colour =
      crop.split === 'validation'
        ? colours.validation
        : crop.scan === pattern.reference
          ? colours.reference
          : colours.train
    columns.push(await drawColumn(scan, crop, colour))
  }
  // One window for all crops, so that brightness can be compared, and one for whole slices.
  const cropWindow = quantiles(
    columns.flatMap(({ slices }) => slices),
    0.01,
    0.99,
  )
  const wholeWindow = quantiles(
    columns.flatMap(({ wholes }) => wholes.map(({ picture }) => picture)),
    0.01,
    0.995,
  )
  const rows = planes.length + wholePlanes.length
  const canvas = new Canvas(
    margin.left + columns.length * (tile + gap) + gap,
    margin.top + line + rows * (tile + gap) + gap,
    background,
  )
  const place =
    frame === 'body'
      ? `at ${pattern.coordinate.map((part) => `${(100 * part).toFixed(0)} %`).join(', ')} of the body`
      : `from voxel ${pattern.coordinate.join(', ')}`
  const size = millimetres ? `, ${millimetres.map((extent) => extent.toFixed(0)).join(' x ')} mm` : ''
  canvas.text(gap, gap, `Pattern ${label}: ${place}, ${extentsText(patch)} voxels${size}`, white)
  canvas.text(gap, gap + line, 'reference', colours.reference)
  canvas.text(gap + 66, gap + line, 'neighbours, nearest to farthest', colours.train)
  canvas.text(gap + 66 + 200, gap + line, 'held-out scans', colours.validation)
  const rowNames = [...planes, ...wholePlanes.map((plane) => `whole,\n${plane}`)]
  const top = (row: number) => margin.top + line + row * (tile + gap)
  for (const [row, name] of rowNames.entries())
    for (const [i, part] of name.split('\n').entries())
      canvas.text(gap, top(row) + tile / 2 + i * line, part, dim, margin.left)
  for (const [i, { crop, colour, slices, wholes }] of columns.entries()) {
    const left = margin.left + i * (tile + gap)
    canvas.text(left, margin.top, crop.scan, colour, tile)
    for (const [row, slice] of slices.entries()) {
      const { x, y } = centred(slice, left, top(row))
      canvas.grey(x, y, windowed(slice, cropWindow))
      canvas.outline(left, top(row), tile, tile, colour)
    }
    for (const [row, { picture, outline }] of wholes.entries()) {
      const { x, y } = centred(picture, left, top(planes.length + row))
      canvas.grey(x, y, windowed(picture, wholeWindow))
      canvas.outline(x + outline.left, y + outline.top, outline.width, outline.height, boxColour)
    }
  }
  return canvas.png()
}

/** Own-size crops: the reference, then neighbours from the nearest to the farthest, then held-out ones. */
function shownCrops({ crops, reference }: PatternClass): PatternCrop[] {
  const own = crops.filter(({ resolution }) => resolution === 0)
  const first = own.filter(({ scan, split }) => scan === reference && split === 'train').slice(0, 1)
  const train = own.filter((crop) => crop.split === 'train' && !first.includes(crop))
  const held = own.filter(({ split }) => split === 'validation')
  return [...first, ...spread(train, instances.train - first.length), ...spread(held, instances.validation)]
}

/** At most `most` items, evenly from first to last. */
function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items]
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / Math.max(1, most - 1))]!)
}

async function drawColumn(scan: ShownScan, crop: PatternCrop, colour: Colour): Promise<Column> {
  const slices: Picture[] = []
  for (const plane of planes) slices.push(await slicePicture(scan, crop, plane))
  const wholes: { picture: Picture; outline: Rectangle }[] = []
  for (const plane of wholePlanes) {
    const { through } = planeAxes[plane]
    // The whole slice that runs through the crop's middle.
    const start: [number, number, number] = [0, 0, 0]
    const size: [number, number, number] = [...scan.shape]
    start[through] = Math.min(
      scan.shape[through] - 1,
      Math.max(0, crop.start[through]! + Math.floor(crop.size[through]! / 2)),
    )
    size[through] = 1
    const picture = await slicePicture(scan, { start, size }, plane)
    wholes.push({ picture, outline: outlineOf(scan, crop, plane, picture) })
  }
  return { crop, colour, slices, wholes }
}

/** A slice at its true proportions, as large as the tile allows. */
async function slicePicture(scan: ShownScan, box: Box, plane: Plane): Promise<Picture> {
  const { across, down } = planeAxes[plane]
  const width = box.size[across] * scan.spacing[across]
  const height = box.size[down] * scan.spacing[down]
  const scale = (tile - 4) / Math.max(width, height)
  return middleSlice(scan, box, plane, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)))
}

/** Where a crop lies in the picture of a whole slice, both of whose axes are mirrored. */
function outlineOf(scan: ShownScan, crop: Box, plane: Plane, picture: Picture): Rectangle {
  const { across, down } = planeAxes[plane]
  const x = picture.width / scan.shape[across]
  const y = picture.height / scan.shape[down]
  return {
    left: Math.round((scan.shape[across] - crop.start[across] - crop.size[across]) * x),
    top: Math.round((scan.shape[down] - crop.start[down] - crop.size[down]) * y),
    width: Math.round(crop.size[across] * x),
    height: Math.round(crop.size[down] * y),
  }
}

function centred({ width, height }: Picture, left: number, top: number): { x: number; y: number } {
  return { x: left + Math.floor((tile - width) / 2), y: top + Math.floor((tile - height) / 2) }
}
