import { type Dirent, existsSync, statSync } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { SemgenError, shown } from '../errors.js'
import { readJson } from '../files.js'
import { filledCells, readTable } from '../table.js'
import { isVolumeFile } from './read.js'

export const splitNames = ['train', 'validation', 'test'] as const
export type SplitName = (typeof splitNames)[number]

/** A scan's file before it is opened. */
export interface ScanFile {
  readonly path: string
  /** Where a manifest or split file says so; otherwise derived from the name, or drawn. */
  readonly patient?: string | undefined
  readonly split?: SplitName | undefined
}

/** More files than any cohort: a wrong folder is noticed before hours are spent on it. */
const mostFiles = 1_000_000

/** Folders of labels beside images, which are no scans. */
const labelFolder = /^(labels?(tr|ts|_\w+)?|masks?|segmentations?)$/i

/** The file's name without the ending of its format. */
export function scanName(path: string): string {
  return basename(path).replace(/\.(nii(\.gz)?|hdr(\.gz)?|mh[ad]|npy)$/i, '')
}

/**
 * The scans that a source names: a folder (recursively, without folders of labels), a glob, files, or a manifest.
 * A manifest is a .csv with columns path, patient?, split?, or a .json list of such objects; paths are relative to it.
 * @param most files of a folder or glob
 * @throws SemgenError BAD_OPTION, NO_DATA, BAD_FILE or IO, naming the source
 */
export async function findScans(
  sources: readonly string[],
  most = mostFiles,
): Promise<{ files: ScanFile[]; notes: string[] }> {
  const byPath = new Map<string, ScanFile>()
  const notes: string[] = []
  for (const source of sources) for (const file of await filesOf(source, most, notes)) byPath.set(file.path, file)
  const unique = [...byPath.values()]
  if (unique.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${sources.join(', ')} holds no scans: files ending in .nii, .nii.gz, .hdr, .mhd, .mha or .npy were looked for.`,
    )
  return { files: await withSplitFile(unique, notes), notes }
}

async function filesOf(source: string, most: number, notes: string[]): Promise<ScanFile[]> {
  const exists = existsSync(source)
  if (exists && statSync(source).isDirectory()) return fromFolder(source, most, notes)
  if (/\.(json|csv)$/i.test(source)) return fromManifest(source)
  if (exists) return [{ path: resolve(source) }]
  if (/[*?[{]/.test(source)) return fromGlob(source, most)
  throw new SemgenError(
    'IO',
    `${source} does not exist: give a folder of scans, a glob, files, or a manifest (.json, .csv).`,
  )
}

async function fromFolder(folder: string, most: number, notes: string[]): Promise<ScanFile[]> {
  let labels = 0
  const found = await scansBelow(resolve(folder), folder, most, {
    enters(path) {
      // A folder that is itself asked for may have any name.
      const isLabels = labelFolder.test(basename(path))
      if (isLabels) labels++
      return !isLabels && !basename(path).startsWith('.')
    },
    takes: (path) => !basename(path).startsWith('.'),
    throughLinks: false,
  })
  if (labels > 0) notes.push(`${labels} folder(s) of labels below ${folder} were left out.`)
  return found.map((path) => ({ path }))
}

/** Below the folder before the first wildcard; ** crosses folders, * and ? do not, {a,b} and [ab] choose. */
async function fromGlob(pattern: string, most: number): Promise<ScanFile[]> {
  const absolute = resolve(pattern)
  const parts = absolute.split(sep)
  const first = parts.findIndex((part) => /[*?[{]/.test(part))
  const root = parts.slice(0, first).join(sep) || sep
  if (!existsSync(root)) return []
  const expression = globExpression(absolute)
  // Without ** nothing lies deeper than the pattern has folders.
  const deepest = absolute.includes('**') ? Number.POSITIVE_INFINITY : parts.length - 1
  const found = await scansBelow(root, pattern, most, {
    enters: (path) => path.split(sep).length <= deepest,
    takes: (path) => expression.test(path),
    throughLinks: true,
  })
  return found.sort().map((path) => ({ path }))
}

/** Which folders and files a search goes into and takes, by their paths. */
interface Search {
  enters(path: string): boolean
  takes(path: string): boolean
  /** Whether links to folders are followed, but for those that lead back to where the search came from. */
  readonly throughLinks: boolean
}

/** Paths of images below a folder. Links to files are as good as files. @throws SemgenError BAD_OPTION, naming the source */
async function scansBelow(root: string, source: string, most: number, search: Search): Promise<string[]> {
  const found: string[] = []
  const visit = async (at: string, above: readonly string[]): Promise<void> => {
    for (const entry of (await readdir(at, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(at, entry.name)
      const kind = await kindOf(entry, path)
      if (kind === 'folder' && (search.throughLinks || !entry.isSymbolicLink()) && search.enters(path)) {
        const real = await realpath(path)
        if (!above.includes(real)) await visit(path, [...above, real])
      } else if (kind === 'file' && isVolumeFile(path) && search.takes(path)) found.push(path)
      if (found.length > most)
        throw new SemgenError(
          'BAD_OPTION',
          `${source} holds more than ${most} scans: name a smaller folder or a manifest.`,
        )
    }
  }
  await visit(root, [await realpath(root)])
  return found
}

async function kindOf(entry: Dirent, path: string): Promise<'file' | 'folder' | undefined> {
  // A link that leads nowhere is nothing.
  const of = entry.isSymbolicLink() ? await stat(path).catch(() => undefined) : entry
  return of?.isFile() ? 'file' : of?.isDirectory() ? 'folder' : undefined
}

/** @throws SemgenError BAD_OPTION when a choice in brackets is none, such as [z-a] */
function globExpression(pattern: string): RegExp {
  try {
    return new RegExp(`^${globSource(pattern)}$`)
  } catch (error) {
    throw new SemgenError(
      'BAD_OPTION',
      `The glob ${shown(pattern)} cannot be read: brackets choose among letters, as [abc] and [a-z] do, and close again.`,
      { cause: error },
    )
  }
}

function globSource(pattern: string): string {
  return pattern.replace(/\*\*\/|\*\*|\*|\?|\{[^{}]*\}|\[[^\]]*\]|[.+^$()|\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?'
    if (token === '**') return '.*'
    if (token === '*') return '[^/]*'
    if (token === '?') return '[^/]'
    if (token.startsWith('{')) return `(?:${token.slice(1, -1).split(',').map(globSource).join('|')})`
    if (token.startsWith('[')) return token.replace('[!', '[^')
    return `\\${token}`
  })
}

const manifestRow = z.object({
  path: z.string().min(1),
  patient: z.string().min(1).optional(),
  split: z.enum(splitNames).optional(),
})

async function fromManifest(path: string): Promise<ScanFile[]> {
  const { rows, where } = /\.json$/i.test(path) ? await jsonRows(path) : await tableRows(path)
  return rows.map((row, i) => {
    const parsed = manifestRow.safeParse(row)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!
      throw new SemgenError(
        'BAD_FILE',
        `${path} is no manifest: ${where(i)}, ${issue.path.join('.') || 'the whole'}: ${issue.message}. ` +
          'Each row has a path, and may have a patient and a split (train, validation or test).',
      )
    }
    const { path: file } = parsed.data
    return { ...parsed.data, path: isAbsolute(file) ? file : resolve(dirname(path), file) }
  })
}

/** What a manifest says of each scan, unchecked, and how messages call the place of one. */
interface ManifestRows {
  readonly rows: readonly unknown[]
  where(i: number): string
}

async function tableRows(path: string): Promise<ManifestRows> {
  const table = await readTable(path)
  return { rows: table.rows.map((_, i) => filledCells(table, i)), where: (i) => `row ${table.lines[i]}` }
}

async function jsonRows(path: string): Promise<ManifestRows> {
  const content = await readJson(path)
  const rows = Array.isArray(content) ? content : (content as { scans?: unknown } | null)?.scans
  if (Array.isArray(rows)) return { rows, where: (i) => `entry ${i + 1}` }
  throw new SemgenError(
    'BAD_FILE',
    `${path} is no manifest: a list of scans was expected, or an object with such a list as "scans", not ${shown(content)}.`,
  )
}

/**
 * A split.json beside the images' folder, or up to two folders above, names the split of each scan by the name of its
 * file: { train: [...], validation: [...], test: [...] }, or such an object under the name of one of the folders between.
 */
async function withSplitFile(files: ScanFile[], notes: string[]): Promise<ScanFile[]> {
  if (files.some((file) => file.split)) return files
  const known = new Map<string, Map<string, SplitName> | undefined>()
  const result: ScanFile[] = []
  for (const file of files) {
    const folder = dirname(file.path)
    if (!known.has(folder)) known.set(folder, await splitFor(folder, notes))
    const split = known.get(folder)?.get(scanName(file.path))
    result.push(split ? { ...file, split } : file)
  }
  // A partial list would mix two ways of splitting: then it does not count.
  return result.every((file) => file.split) ? result : files
}

/** The split.json that a folder's scans or cases go by, by name; undefined where none does. Says so in `notes`. */
export async function splitFor(folder: string, notes: string[]): Promise<Map<string, SplitName> | undefined> {
  for (let up = 0, at = folder; up < 3; up++, at = dirname(at)) {
    const path = join(at, 'split.json')
    if (!existsSync(path)) continue
    const whole = await readJson(path, 64 * 2 ** 20)
    if (!whole || typeof whole !== 'object') continue
    let content = whole as Record<string, unknown>
    for (const part of relative(at, folder).split(sep)) {
      const inner = content[part]
      if (inner && typeof inner === 'object' && !Array.isArray(inner)) content = inner as Record<string, unknown>
    }
    const lists = z
      .partialRecord(z.enum(splitNames), z.array(z.string()))
      .safeParse(
        Object.fromEntries(splitNames.flatMap((name) => (content[name] === undefined ? [] : [[name, content[name]]]))),
      )
    if (!lists.success || Object.keys(lists.data).length === 0) continue
    notes.push(`The split is that of ${path}.`)
    return new Map(
      Object.entries(lists.data).flatMap(([name, ids]) => (ids ?? []).map((id) => [id, name as SplitName] as const)),
    )
  }
  return undefined
}
