import { readFile, stat } from 'node:fs/promises'
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import { reason, SemgenError } from '../errors.js'
import { closest } from './closest.js'
import { keyName, type OptionTable } from './options.js'
import type { Given, Layer } from './resolve.js'

/** A configuration file is written by a person; more than this is another file. */
const byteLimit = 2 ** 20

/**
 * The options that a YAML (or JSON) file gives, a run's config.json among them, under their names on the command line (base-width) or in code (baseWidth).
 * @throws SemgenError IO when it cannot be read; BAD_OPTION naming file, line and key when it is no YAML, no list of
 *   options, or names an option that the command does not have
 */
export async function fileLayer(table: OptionTable, path: string): Promise<Layer> {
  const lines = new LineCounter()
  const document = parseDocument(await readText(path), { lineCounter: lines, prettyErrors: false })
  const lineOf = (offset: number) => `${path}:${lines.linePos(offset).line}`
  const [mistake] = document.errors
  if (mistake) throw new SemgenError('BAD_OPTION', `${lineOf(mistake.pos[0])} is not valid YAML: ${mistake.message}.`)
  const layer = new Map<string, Given>()
  if (document.contents === null) return layer
  if (!isMap(document.contents))
    throw new SemgenError('BAD_OPTION', `${path} must hold lines of the form "option: value".`)
  // A run's config.json keeps them under "options", beside what was decided from them.
  const recorded = document.contents.get('options')
  const record = isMap(recorded)
  for (const { key: node, value } of (record ? recorded : document.contents).items) {
    const name = isScalar(node) ? String(node.value) : 'a list or map'
    const place = lineOf((isScalar(node) && node.range?.[0]) || 0)
    const key = keyName(name)
    if (!Object.hasOwn(table, key)) {
      const known = closest(key, Object.keys(table))
      throw new SemgenError(
        'BAD_OPTION',
        `${place}: there is no option "${name}"${known ? `; is "${known}" meant?` : '.'}`,
      )
    }
    // A record says what was done with its own folder, which is not asked of another one.
    if (record && (key === 'force' || key === 'resume')) continue
    if (layer.has(key)) throw new SemgenError('BAD_OPTION', `${place}: "${name}" is set twice.`)
    const plain = plainValue(value, document, place)
    // A key without a value leaves the option as it would be.
    if (plain !== null)
      layer.set(key, { value: plain, origin: `${place}: ${name}`, ...(record ? { unasked: true } : {}) })
  }
  return layer
}

/** @throws SemgenError BAD_OPTION for an alias to nothing, or for aliases that unfold without end */
function plainValue(value: unknown, document: Document, place: string): unknown {
  try {
    return isNode(value) ? (value.toJS(document) ?? null) : null
  } catch (error) {
    throw new SemgenError('BAD_OPTION', `${place} is not valid YAML: ${reason(error)}.`, { cause: error })
  }
}

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > byteLimit)
      throw new SemgenError('BAD_OPTION', `--config takes a file of at most 1 MiB, and ${path} has ${size} bytes.`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `The configuration file ${path} could not be read: ${reason(error)}.`, { cause: error })
  }
}
