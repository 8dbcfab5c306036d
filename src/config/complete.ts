import type { OptionsOf, OptionTable } from './options.js'
import { type PresetName, presetLayer } from './presets.js'
import { commandLineLayer, resolveOptions } from './resolve.js'

/**
 * Options for a call from a program: what is not given has the value that the command line would give it, of a preset that
 * is named first.
 * @throws SemgenError BAD_OPTION as resolveOptions
 */
export function completeOptions<T extends OptionTable>(table: T, given: Partial<OptionsOf<T>>): OptionsOf<T> {
  const layer = commandLineLayer(table, given)
  const preset = 'preset' in table ? (layer.get('preset')?.value as PresetName | undefined) : undefined
  return resolveOptions(table, layer, ...(preset === undefined ? [] : [presetLayer(table, preset)]))
}
