import { SemgenError } from '../errors.js'
import { type Extents, extentsText, voxelCount } from '../extents.js'
import { type Affine, canonical, cornersApart, readSingleVolume } from '../volumes/index.js'

/** Where voxels in canonical order (RAS, z fastest) lie. */
export interface Grid {
  readonly path: string
  readonly shape: Extents
  readonly spacing: Extents
  readonly affine: Affine
}

/** A volume on its way into canonical order, so that what is made of it is made once. */
export interface Opened extends Grid {
  /** Writes every value into `into`, in canonical order. */
  fill(into: Uint8Array | Float32Array): void
  /** The first value that is no whole number from 0 to 255. */
  noLabel(): number | undefined
}

/** Reads an image or a map of one volume. @throws SemgenError as readSingleVolume */
export async function openVolume(path: string): Promise<Opened> {
  const { scan, spacing, affine } = canonical(await readSingleVolume(path))
  const { data, offset, strides, shape, slope, intercept } = scan
  return {
    path,
    shape,
    spacing,
    affine,
    fill(into) {
      let i = 0
      for (let x = 0; x < shape[0]; x++)
        for (let y = 0; y < shape[1]; y++) {
          let at = offset + x * strides[0] + y * strides[1]
          for (let z = 0; z < shape[2]; z++, at += strides[2]) into[i++] = data[at]! * slope + intercept
        }
    },
    noLabel() {
      for (let i = 0; i < data.length; i++) {
        const value = data[i]! * slope + intercept
        if (!(value >= 0 && value <= 255 && Number.isInteger(value))) return value
      }
      return undefined
    },
  }
}

/** The labels of an opened file, one byte a voxel. @throws SemgenError BAD_FILE unless all are whole, from 0 to 255 */
export function labelsOf(opened: Opened): Uint8Array {
  const value = opened.noLabel()
  if (value !== undefined)
    throw new SemgenError(
      'BAD_FILE',
      `${opened.path} is no label map: it holds ${value}, and labels are whole numbers from 0 to 255.`,
    )
  const labels = new Uint8Array(voxelCount(opened.shape))
  opened.fill(labels)
  return labels
}

/** The probabilities of an opened file. @throws SemgenError BAD_FILE unless all are from 0 to 1 */
export function probabilitiesOf(opened: Opened): Float32Array {
  const values = new Float32Array(voxelCount(opened.shape))
  opened.fill(values)
  const odd = values.find((value) => !(value >= 0 && value <= 1))
  if (odd === undefined) return values
  throw new SemgenError('BAD_FILE', `${opened.path} holds ${odd}, and probabilities are numbers from 0 to 1.`)
}

/** One sentence that tells two grids apart; undefined where all corners lie within half a voxel of each other. */
export function gridsDiffer(a: Grid, b: Grid): string | undefined {
  const apart = cornersApart(a.affine, a.shape, b.affine, b.shape)
  const same = extentsText(a.shape) === extentsText(b.shape)
  if (same && apart <= 0.5 * Math.min(...b.spacing)) return undefined
  return (
    `${a.path} (${extentsText(a.shape)} voxels) lies on another grid than ${b.path} (${extentsText(b.shape)} voxels): ` +
    `corners are up to ${apart.toFixed(1)} mm apart.`
  )
}
