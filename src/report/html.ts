/** Markup that is safe to put into a page as it is. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

export type Content = Html | string | number | undefined | null | false | readonly Content[]

/** A template whose values are escaped, unless they are Html themselves; lists are joined, nothing is left out. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.reduce((text, part, i) => text + markup(values[i - 1]) + part))
}

function markup(content: Content): string {
  if (content === undefined || content === null || content === false) return ''
  if (content instanceof Html) return content.text
  if (Array.isArray(content)) return content.map(markup).join('')
  return escaped(String(content))
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it may stand between tags and in quoted attributes. File names come from strangers. */
function escaped(text: string): string {
  // Control characters have no place in a page: the replacement character stands for them.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd').replace(/[&<>"']/g, (c) => entities[c]!)
}

/** A stranger's name: its writing direction cannot reorder the text around it. */
export const name = (text: string): Html => html`<bdi>${text}</bdi>`

export interface Column {
  readonly head: string
  readonly number?: boolean
}

/** A table that scrolls sideways on its own where the page is too narrow. */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Content[])[]): Html {
  const side = (i: number) => (columns[i]?.number ? html` class="number"` : '')
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table>
<thead><tr>${columns.map(({ head }, i) => html`<th scope="col"${side(i)}>${head}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td${side(i)}>${cell}</td>`)}</tr>\n`)}</tbody>
</table></div>`
}

/** A list of terms and what they are. */
export function facts(entries: readonly (readonly [string, Content])[]): Html {
  return html`<dl>${entries.map(([term, fact]) => html`<div><dt>${term}</dt><dd>${fact}</dd></div>`)}</dl>`
}
