import { SemgenError } from '../errors.js'
import { type ScanFile, scanName } from '../volumes/index.js'

/**
 * Images by name; the channels of one image bear its name and _0000, _0001, ...
 * @throws SemgenError BAD_OPTION where two have one name, or channels are missing
 */
export function groupedScans(files: readonly ScanFile[], channels: number): Map<string, ScanFile[]> {
  const groups = new Map<string, ScanFile[]>()
  for (const file of files) {
    const name = scanName(file.path)
    const id = channels > 1 ? name.replace(/_\d{4}$/, '') : name
    groups.set(id, [...(groups.get(id) ?? []), file])
  }
  for (const [id, of] of groups)
    if (of.length !== channels)
      throw new SemgenError(
        'BAD_OPTION',
        channels === 1
          ? `Two images have the name ${id}: ${of.map(({ path }) => path).join(' and ')}.`
          : `${id} has ${of.length} of ${channels} channels: the weights take files named ${id}_0000, ${id}_0001, ...`,
      )
  return groups
}
