import type { Drawing } from './chart.js'
import { type Html, html } from './html.js'
import { pictureStyle } from './style.js'

export type PictureKind = 'training' | 'validation'

/** A drawing and what stands above it. */
export interface Panel {
  readonly title: string
  readonly drawing: Drawing
}

/** What is the same in all panels of a picture. */
export interface PictureText {
  readonly title: string
  /** Where the figures are from: machine, file. */
  readonly source: string
  readonly legend: readonly { readonly kind: PictureKind; readonly name: string }[]
}

const margin = 16
const gap = 24
const headHeight = 84
const titleHeight = 22

/** A picture of one or several drawings in columns, as an SVG file that needs nothing else. */
export function picture({ title, source, legend }: PictureText, panels: readonly Panel[], columns: number): string {
  const width = Math.max(...panels.map(({ drawing }) => drawing.width))
  const height = Math.max(...panels.map(({ drawing }) => drawing.height)) + titleHeight
  const across = Math.min(columns, panels.length)
  const whole = {
    width: 2 * margin + across * width + (across - 1) * gap,
    height: headHeight + Math.ceil(panels.length / across) * (height + gap),
  }
  const told = panels.map(({ title, drawing }) => `${title}. ${drawing.told}`).join(' ')
  return `${html`<svg xmlns="http://www.w3.org/2000/svg" width="${whole.width}" height="${whole.height}" viewBox="0 0 ${whole.width} ${whole.height}" role="img" aria-label="${`${title}. ${told}`}">
<style>${pictureStyle}</style>
<rect class="paper" width="${whole.width}" height="${whole.height}"/>
<text class="title" x="${margin}" y="24">${title}</text>
<text x="${margin}" y="44">${source}</text>
${legend.map(({ kind, name }, i) => key(margin + keyPlace(legend, i), kind, name))}
${panels.map(({ title, drawing }, i) => {
  const x = margin + (i % across) * (width + gap)
  const y = headHeight + Math.floor(i / across) * (height + gap)
  return html`<g transform="translate(${x} ${y})"><text class="ink" x="0" y="14">${title}</text>
<g transform="translate(0 ${titleHeight})">${drawing.content}</g></g>\n`
})}
</svg>`}\n`
}

/** Where a key begins, after those before it: a letter is about seven units wide. */
const keyPlace = (legend: PictureText['legend'], index: number): number =>
  legend.slice(0, index).reduce((x, { name }) => x + 24 + 7 * name.length + gap, 0)

const key = (x: number, kind: PictureKind, name: string): Html =>
  html`<line class="${kind}" x1="${x}" x2="${x + 18}" y1="62" y2="62"/><text class="ink" x="${x + 24}" y="66">${name}</text>`

/** One or several bars beside a name. */
export interface BarRow {
  readonly name: string
  readonly bars: readonly { readonly kind: PictureKind; readonly value: number; readonly text: string }[]
}

/** Horizontal bars from 0, each with its value behind it: what is longest fills the width. */
export function barDrawing(rows: readonly BarRow[], width = 820, nameWidth = 190, textWidth = 150): Drawing {
  const most = Math.max(...rows.flatMap(({ bars }) => bars.map(({ value }) => value)))
  const [thickness, between] = [16, 10]
  // Room for the value behind the longest bar.
  const longest = width - nameWidth - textWidth
  let y = 0
  const content = rows.map(({ name, bars }) => {
    const top = y
    y += bars.length * (thickness + 2) + between
    return html`<text class="ink" x="${nameWidth - 10}" y="${top + (bars.length * (thickness + 2)) / 2}" dy="4" text-anchor="end">${name}</text>
${bars.map(({ kind, value, text }, i) => {
  const length = Math.max(1, (value / most) * longest).toFixed(1)
  const at = top + i * (thickness + 2)
  return html`<rect class="${kind}" x="${nameWidth}" y="${at}" width="${length}" height="${thickness}"/><text x="${nameWidth + Number(length) + 6}" y="${at + thickness / 2}" dy="4">${text}</text>\n`
})}`
  })
  const told = rows.map(({ name, bars }) => `${name}: ${bars.map(({ text }) => text).join(', ')}.`).join(' ')
  return { width, height: y, content: html`${content}`, told }
}
