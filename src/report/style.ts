/** Colours on paper, by the names that rules use. */
const light = {
  paper: '#fff',
  ink: '#1a1e24',
  soft: '#59626e',
  line: '#dde1e6',
  raised: '#f5f7f9',
  training: '#0072b2',
  validation: '#c04a00',
  third: '#7b3fa0',
  fourth: '#6a6f00',
  reference: '#00795a',
}

/** What charts look like, on a page and in a picture of their own. */
const drawing = `svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums }
.grid line { stroke: var(--line) }
polyline { fill: none; stroke-linejoin: round }
polyline.training { stroke: var(--training); stroke-width: 1.25 }
polyline.validation { stroke: var(--validation); stroke-width: 2 }
circle.training { fill: var(--training) }
circle.validation { fill: var(--validation) }
polyline.third { stroke: var(--third); stroke-width: 2 } circle.third { fill: var(--third) }
polyline.fourth { stroke: var(--fourth); stroke-width: 2 } circle.fourth { fill: var(--fourth) }
line.reference { stroke: var(--reference); stroke-width: 1.5; stroke-dasharray: 7 4 }
.mark line { stroke: var(--soft); stroke-dasharray: 2 3 }
.mark.resume line { stroke-dasharray: 1 5 }
rect.validation { fill: var(--validation) } rect.training { fill: var(--training) }`

/** The page's style: dark or light as the reader's system is, and plain on paper. */
export const style = `
:root { color-scheme: light; ${Object.entries(light)
  .map(([name, colour]) => `--${name}: ${colour}`)
  .join('; ')} }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --paper: #14171c; --ink: #e4e7ec; --soft: #9aa4b2; --line: #2e343d; --raised: #1c2027;
    --training: #56b4e9; --validation: #f0a04b; --third: #c79be8; --fourth: #d2d24a; --reference: #34c39a }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1180px; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 2rem; line-height: 1.2; overflow-wrap: anywhere }
h2 { margin: 3rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); font-size: 1.25rem }
h3 { margin: 1.25rem 0 .25rem; font-size: 1rem; overflow-wrap: anywhere }
p { margin: .4rem 0 }
ul { margin: .5rem 0; padding-left: 1.25rem }
a { color: var(--training) }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1.25rem }
.kind, .label, figcaption, dt, th, .error { color: var(--soft) }
.missing { color: var(--soft); font-style: italic }
.kind { margin: 0 }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 1rem; margin-top: 1.25rem }
.tile { padding: .75rem 1rem; border-radius: 8px; background: var(--raised) }
.tile p { margin: 0 } .tile .value { font-size: 1.6rem; font-variant-numeric: tabular-nums }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 1.5rem 2rem }
.charts.small { grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); margin-top: 1.5rem }
figure { margin: 0; break-inside: avoid }
figcaption .legend { display: flex; flex-wrap: wrap; gap: 0 1rem }
svg { display: block; width: 100%; height: auto }
${drawing}
.key::before { content: ''; display: inline-block; width: 1.4em; margin-right: .4em; vertical-align: middle; border-top: 2px solid }
.key.training::before { color: var(--training) } .key.validation::before { color: var(--validation) }
.key.third::before { color: var(--third) } .key.fourth::before { color: var(--fourth) }
.key.reference::before { color: var(--reference); border-top-style: dashed }
output { color: var(--ink); font-variant-numeric: tabular-nums }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); gap: 1.25rem; margin-top: 1rem }
td code { white-space: nowrap }
.card h3 { margin-top: 0 }
.card { padding: 1rem; border-radius: 8px; background: var(--raised); break-inside: avoid }
.triplet { display: grid; grid-template-columns: repeat(3, 1fr); gap: .75rem; text-align: center }
.triplet p { margin: .2rem 0 }
img { display: block; max-width: 100%; background: #000; border-radius: 3px }
.plane { width: 100%; margin-bottom: 3px; image-rendering: pixelated }
.montages { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1.25rem }
.montages .wide { grid-column: span 2 }
@media (max-width: 700px) { .montages figure { grid-column: span 2 } }
.right { color: var(--reference) } .wrong { color: var(--validation) }
.scroll { overflow: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th { position: sticky; top: 0; background: var(--paper); text-align: left; font-weight: 500 }
th, td { padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.number { text-align: right }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 0 2rem; margin: .5rem 0 }
dl div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--line); padding: .2rem 0 }
dd { margin: 0; text-align: right; overflow-wrap: anywhere }
pre { overflow: auto; font-size: .85em }
summary { cursor: pointer; margin: 1rem 0 .5rem }
@media print {
  body { max-width: none; padding: 0; font-size: 11px }
  nav { display: none } h2 { break-after: avoid } .scroll { overflow: visible } th { position: static }
  .tile, .card { background: none; border: 1px solid var(--line) }
  img, svg { print-color-adjust: exact }
}`

/** The style of a picture that stands alone: always on paper, its colours written out, which not every reader of SVG looks up. */
export const pictureStyle = `text { font-family: system-ui, sans-serif } ${drawing}
text.title { fill: var(--ink); font-size: 14px; font-weight: 600 } text.ink { fill: var(--ink) } rect.paper { fill: var(--paper) }
line.training { stroke: var(--training); stroke-width: 2 } line.validation { stroke: var(--validation); stroke-width: 2 }`.replace(
  /var\(--(\w+)\)/g,
  (_, name) => light[name as keyof typeof light],
)
