import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import { reason, SemgenError } from '../errors.js'
import { readJson } from '../files.js'
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
 * @throws SemgenError BAD_OPTION, NO_DATA, BAD_FILE or IO, naming the source
 */
export async function findScans(sources: readonly string[]): Promise<{ files: ScanFile[]; notes: string[] }> {
  const files: ScanFile[] = []
  const notes: string[] = []
  for (const source of sources) {
    if (existsSync(source) && statSync(source).isDirectory()) files.push(...(await fromFolder(source, notes)))
    else if (/\.(json|csv)$/i.test(source)) files.push(...(await fromManifest(source)))
    else if (/[*?[{]/.test(source) && !existsSync(source)) files.push(...fromGlob(source))
    else if (existsSync(source)) files.push({ path: resolve(source) })
    else
      throw new SemgenError(
        'IO',
        `${source} does not exist: give a folder of scans, a glob, files, or a manifest (.json, .csv).`,
      )
  }
  const unique = [...new Map(files.map((file) => [file.path, file])).values()]
  if (unique.length === 0)
    throw new SemgenError(
      'NO_DATA',
      `${sources.join(', ')} holds no scans: files ending in .nii, .nii.gz, .hdr, .mhd, .mha or .npy were looked for.`,
    )
  return { files: await withSplitFile(unique, notes), notes }
}

async function fromFolder(folder: string, notes: string[]): Promise<ScanFile[]> {
  const root = resolve(folder)
  const found: string[] = []
  let labels = 0
  const visit = async (at: string, top: boolean): Promise<void> => {
    for (const entry of (await readdir(at, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.')) continue
      const path = join(at, entry.name)
      if (entry.isDirectory()) {
        // A folder that is itself asked for may have any name.
        if (labelFolder.test(entry.name)) labels++
        else await visit(path, false)
      } else if (isVolumeFile(path) && (entry.isFile() || linksToFile(entry, path))) found.push(path)
      if (found.length > mostFiles)
        throw new SemgenError(
          'BAD_OPTION',
          `${folder} holds more than ${mostFiles} scans: name a smaller folder or a manifest.`,
        )
    }
    if (top && labels > 0) notes.push(`${labels} folder(s) of labels below ${folder} were left out.`)
  }
  await visit(root, true)
  return found.map((path) => ({ path }))
}

/** Links to files are as good as files; those to folders are not followed, for they can go round in circles. */
const linksToFile = (entry: Dirent, path: string): boolean =>
  entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isFile() === true

/** Below the folder before the first wildcard; ** crosses folders, * and ? do not, {a,b} and [ab] choose. */
function fromGlob(pattern: string): ScanFile[] {
  const absolute = resolve(pattern)
  const parts = absolute.split(sep)
  const root =
    parts
      .slice(
        0,
        parts.findIndex((part) => /[*?[{]/.test(part)),
      )
      .join(sep) || sep
  if (!existsSync(root)) return []
  const expression = globExpression(absolute)
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => join(root, path))
    .filter((path) => expression.test(path) && isVolumeFile(path) && statSync(path).isFile())
    .sort()
    .map((path) => ({ path }))
}

function globExpression(pattern: string): RegExp {
  const translated = pattern.replace(/\*\*\/|\*\*|\*|\?|\{[^{}]*\}|\[[^\]]*\]|[.+^$()|\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?'
    if (token === '**') return '.*'
    if (token === '*') return '[^/]*'
    if (token === '?') return '[^/]'
    if (token.startsWith('{')) return `(?:${token.slice(1, -1).split(',').map(globSource).join('|')})`
    if (token.startsWith('[')) return token.replace('[!', '[^')
    return `\\${token}`
  })
  return new RegExp(`^${translated}$`)
}

const globSource = (part: string): string => globExpression(part).source.slice(1, -1)

const manifestRow = z.object({
  path: z.string().min(1),
  patient: z.string().min(1).optional(),
  split: z.enum(splitNames).optional(),
})

async function fromManifest(path: string): Promise<ScanFile[]> {
  let rows: unknown
  if (/\.json$/i.test(path)) {
    const content = await readJson(path)
    rows = Array.isArray(content) ? content : (content as { scans?: unknown }).scans
  } else {
    try {
      const text = await readFile(path, 'utf8')
      const records = parse(text, { columns: true, skip_empty_lines: true, trim: true, bom: true }) as Record<
        string,
        string
      >[]
      // Empty cells are cells left out.
      rows = records.map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== '')))
    } catch (error) {
      throw new SemgenError('BAD_FILE', `${path} could not be read as a manifest: ${reason(error)}.`, { cause: error })
    }
  }
  const parsed = z.array(manifestRow).safeParse(rows)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw new SemgenError(
      'BAD_FILE',
      `${path} is no manifest: row ${String(issue.path[0] ?? '?')}, ${String(issue.path[1] ?? 'the list')}: ${issue.message}. ` +
        'Each row has a path, and may have a patient and a split (train, validation or test).',
    )
  }
  return parsed.data.map((row) => ({
    ...row,
    path: isAbsolute(row.path) ? row.path : resolve(dirname(path), row.path),
  }))
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
    let content = (await readJson(path, 64 * 2 ** 20)) as Record<string, unknown>
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
