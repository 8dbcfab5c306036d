import sharp from 'sharp'
import type { PatternClass, PatternSet } from '../discovery/index.js'
import { reason } from '../errors.js'
import { counted, figure, whole } from '../format.js'
import { facts, type Html, html, name, table } from './html.js'
import type { Montage } from './read-run.js'
import { dataUri } from './slices.js'

/** The discovered patterns: how they were found, and crops of each. */
export async function patternsSection(patterns: PatternSet, montages: readonly Montage[]): Promise<Html> {
  const { classes, frame, patch, millimetres, notes } = patterns
  return html`${facts([
    ['patterns', whole(classes.length)],
    ['crops for training', whole(cropCount(classes, 'train'))],
    ['crops held out', whole(cropCount(classes, 'validation'))],
    ['voxels of a crop', patch.join(' x ')],
    ['the same place means', frame === 'body' ? 'the same place in the body’s box' : 'the same voxel index'],
    ...(millimetres ? [['size of a crop', `${millimetres.map(figure).join(' x ')} mm`] as const] : []),
  ])}
<ul>${notes.map((note) => html`<li>${note}</li>\n`)}</ul>
${
  montages.length === 0
    ? html`<p class="missing">The run has no montages.</p>`
    : gallery(await Promise.all(montages.map((montage) => montageFigure(montage, classes))))
}`
}

/** Montages that are in sight at once; a page of fifty would be a long way to what comes after. */
const inSight = 6

function gallery(figures: readonly Html[]): Html {
  const rest = figures.slice(inSight)
  return html`<div class="montages">${figures.slice(0, inSight)}</div>
${rest.length > 0 && html`<details><summary>${counted(rest.length, 'further pattern')}</summary><div class="montages">${rest}</div></details>`}`
}

const cropCount = (classes: readonly PatternClass[], split: string): number =>
  classes.reduce((sum, { crops }) => sum + crops.filter((crop) => crop.split === split).length, 0)

/** A montage's file is named after its pattern's number: pattern-07.png. */
async function montageFigure({ file, png }: Montage, classes: readonly PatternClass[]): Promise<Html> {
  const number = /(\d+)\.png$/.exec(file)?.[1]
  const pattern = number === undefined ? undefined : classes[Number(number)]
  const caption = pattern
    ? html`Pattern ${whole(Number(number))}: ${counted(new Set(pattern.crops.map(({ scan }) => scan)).size, 'scan')}, from ${name(pattern.reference)}`
    : name(file)
  try {
    // As WebP a montage takes a fifth of the place, and a page has many.
    const { data, info } = await sharp(png).webp({ quality: 90 }).toBuffer({ resolveWithObject: true })
    // A wide picture has a row of its own.
    return html`<figure class="card${info.width > 800 && ' wide'}"><figcaption>${caption}</figcaption>
<img src="${dataUri(data, 'webp')}" alt="${`Crops of ${file.replace(/\.png$/, '')}`}"></figure>`
  } catch (error) {
    return html`<figure class="card"><figcaption>${caption}</figcaption><p class="missing">${file} cannot be shown: ${reason(error)}.</p></figure>`
  }
}

/** Which patients the auto-encoder takes for alike. */
export function nearestSection({ embedding }: PatternSet): Html {
  if (!embedding) return html`<p class="missing">These patterns were not found by an embedding.</p>`
  const { nearest, loss, bestEpoch, epochs, latent } = embedding
  const most = Math.max(0, ...nearest.map(({ neighbours }) => neighbours.length))
  return html`<p>By the distance of latent vectors of ${whole(latent)} values. The auto-encoder was trained for ${counted(epochs, 'epoch')};
the weights of epoch ${whole(bestEpoch)} were kept, with an error of ${figure(loss)}.</p>
${table(
  'Nearest patients',
  [{ head: 'scan' }, ...Array.from({ length: most }, (_, i) => ({ head: `nearest ${i + 1}` }))],
  nearest.map(({ scan, neighbours }) => [
    name(scan),
    ...neighbours.map((other) => html`${name(other.scan)} <span class="label">${figure(other.distance)}</span>`),
  ]),
)}`
}
