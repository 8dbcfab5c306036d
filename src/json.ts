/** What JSON text holds, or `otherwise` where it is none: metadata of weights is text, and of strangers' weights any. */
export function parsedJson(text: string | undefined, otherwise?: unknown): unknown {
  try {
    return text === undefined ? otherwise : JSON.parse(text)
  } catch {
    return otherwise
  }
}
