import { type Html, html } from './html.js'
import { style } from './style.js'

/** A page that needs nothing else: no script, no network, pictures inside. */
export function documentOf(title: string, body: Html): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
${html`<title>${title} – semgen-native</title>`}
<style>${style}
</style>
</head>
<body>
${body}
</body>
</html>
`
}
