import { basename, dirname } from 'node:path'
import { channelName } from '../cases/case-folders.js'
import { SemgenError } from '../errors.js'
import { type ScanFile, scanName } from '../volumes/index.js'

/**
 * The files of each image by its name, a file a channel in their order: name_0000, name_0001, ...; files of a folder that
 * bears the image's name and whose own end in the names of channels; or one file, whose volumes are the channels.
 * @param named what the channels are called, where the weights learnt from such folders
 * @throws SemgenError BAD_OPTION where two have one name, or channels are missing
 */
export function groupedScans(
  files: readonly ScanFile[],
  channels: number,
  named?: readonly string[],
): Map<string, ScanFile[]> {
  const folders = named ? inFolders(files, named) : undefined
  if (folders && folders.size > 0) return folders
  const groups = new Map<string, ScanFile[]>()
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const name = scanName(file.path)
    const id = channels > 1 ? name.replace(/_\d{4}$/, '') : name
    groups.set(id, [...(groups.get(id) ?? []), file])
  }
  for (const [id, of] of groups)
    if (of.length !== channels && of.length !== 1)
      throw new SemgenError(
        'BAD_OPTION',
        channels === 1
          ? `Two images have the name ${id}: ${of.map(({ path }) => path).join(' and ')}.`
          : `${id} has ${of.length} of ${channels} channels: the weights take files named ${id}_0000, ${id}_0001, ...`,
      )
  return groups
}

/** Folders with files of channels; other files in them are no channels. */
function inFolders(files: readonly ScanFile[], named: readonly string[]): Map<string, ScanFile[]> {
  const groups = new Map<string, Map<string, ScanFile>>()
  for (const file of files) {
    const folder = dirname(file.path)
    const channel = channelName(scanName(file.path), basename(folder))
    if (named.includes(channel)) groups.set(folder, (groups.get(folder) ?? new Map()).set(channel, file))
  }
  const result = new Map<string, ScanFile[]>()
  for (const [folder, of] of groups) {
    const missing = named.find((channel) => !of.has(channel))
    if (missing)
      throw new SemgenError('BAD_OPTION', `${folder} has no ${missing}: the weights take ${named.join(', ')}.`)
    if (result.has(basename(folder)))
      throw new SemgenError('BAD_OPTION', `Two folders have the name ${basename(folder)}; the second is ${folder}.`)
    result.set(
      basename(folder),
      named.map((channel) => of.get(channel)!),
    )
  }
  return result
}
