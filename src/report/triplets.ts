import { figure, whole } from '../format.js'
import { type Html, html, name } from './html.js'
import type { Samples } from './read-run.js'
import { middlePlanes } from './slices.js'

/** Held-out cubes as they were, perturbed, and restored: three middle planes of each. */
export async function triplets({ samples, step }: Samples): Promise<Html> {
  const cards = await Promise.all(
    samples.map(async (sample, i) => {
      const column = async (title: string, cube: Samples['samples'][number]['original'], error?: number) =>
        html`<div><p class="label">${title}</p>${await middlePlanes(cube, `Sample ${i + 1}, ${title}`)}
<p class="error">${error === undefined ? html`&nbsp;` : `error ${figure(error)}`}</p></div>`
      const { scan, pattern, named, perturbation, perturbedError, restoredError } = sample
      return html`<article class="card"><h3>${name(scan)}</h3>
<p>${perturbation}${pattern !== undefined && html`; pattern ${whole(pattern)}`}${
        named !== undefined &&
        html`, named ${whole(named)}${named === pattern ? html` <span class="right">✓</span>` : html` <span class="wrong">✗</span>`}`
      }</p>
<div class="triplet">${await column('original', sample.original)}${await column('perturbed', sample.perturbed, perturbedError)}${await column('restored', sample.restored, restoredError)}</div></article>`
    }),
  )
  return html`<p>Held-out cubes, restored by the weights of step ${whole(step)}. Middle planes: axial, coronal, sagittal; the
patient’s right is on the left, in the sagittal plane the front.</p>
<div class="cards">${cards}</div>`
}
