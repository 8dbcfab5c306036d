import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../src/engine/addon.js'
import { SemgenError } from '../src/errors.js'
import { writeAtomically } from '../src/files.js'
import type { Surroundings } from './surroundings.js'
import { markdownTables, table } from './tables.js'
import { describeWaterfall, type Waterfall } from './waterfall.js'

/** What one program measured, or why it did not. */
export interface MeasuredRun {
  readonly program: string
  /** Its command line, without --json. */
  readonly options: readonly string[]
  readonly figures?: unknown
  readonly failed?: string
}

/** What `bench` saves: the figures of every program, and what they depend on. */
export interface BenchReport extends Surroundings {
  readonly version: 1
  readonly date: string
  readonly command: string
  readonly runs: readonly MeasuredRun[]
}

/** bench/results of a checkout; the current folder of an installed package, which has none. */
export function usualFolder(): string {
  const results = join(projectRoot(), 'bench/results')
  return existsSync(results) ? results : process.cwd()
}

/**
 * Where a report goes, without its ending: the day, the machine, what was measured and with which options, so that
 * different runs have different names: "2026-11-23-amd-epyc-9b14-2-cores-step-batch-1".
 */
export function reportPath(
  folder: string,
  of: { readonly date: string; readonly machine: Surroundings['machine']; readonly what: readonly string[] },
): string {
  const { cpu, cores, gpus } = of.machine
  const machine =
    gpus[0] ??
    `${cpu.replace(/\b(\d+-Core|Processor|CPU|\(R\)|\(TM\))|@.*$/gi, '')} ${cores} core${cores === 1 ? '' : 's'}`
  const parts = [of.date.slice(0, 10), machine, ...of.what].map((part) => part.toLowerCase().replace(/[^a-z\d]+/g, '-'))
  return join(folder, parts.join('-').replace(/-{2,}/g, '-').replace(/-$/, ''))
}

/** @throws SemgenError BAD_OPTION where a report has that name: asked before hours of measuring, not after */
export function checkFree(path: string): void {
  for (const file of [`${path}.md`, `${path}.json`])
    if (existsSync(file))
      throw new SemgenError(
        'BAD_OPTION',
        `${file} has the figures of another run: --force overwrites them, --out takes another folder.`,
      )
}

/** Makes a folder where there is none yet. @throws SemgenError IO */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw new SemgenError('IO', `The folder ${folder} could not be made: ${(error as Error).message}.`, {
      cause: error,
    })
  }
}

/** Writes PATH.json and PATH.md, each whole or not at all. */
export async function saveReport(folder: string, path: string, report: BenchReport): Promise<void> {
  await makeFolder(folder)
  await writeAtomically(`${path}.json`, `${JSON.stringify(report, null, 1)}\n`)
  await writeAtomically(`${path}.md`, reportText(report))
}

/** The report as people read it. */
export function reportText(report: BenchReport): string {
  const { machine, versions } = report
  const about = table(
    ['', ''],
    [
      ['command', `\`${report.command}\``],
      ['date', report.date],
      ['commit', report.commit],
      ['CPU', `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
      ['instructions', machine.instructions.join(', ')],
      ['GPU', machine.gpus.length > 0 ? `${machine.gpus.join(', ')}; driver ${machine.driver}` : 'none'],
      ['system', machine.system],
      ['semgen-native', versions.program],
      ['Node', versions.node],
      ...Object.entries(versions.engines).map(([engine, library]) => [`${engine} engine`, library]),
      ['PyTorch', versions.pytorch],
    ],
  )
  return `# Measured ${report.date.slice(0, 10)}, ${machine.gpus[0] ?? machine.cpu}\n\n${about}\n${report.runs.map(runText).join('\n')}`
}

/** One program's part of it. */
export function runText({ program, options, figures, failed }: MeasuredRun): string {
  const title = [program, ...options].join(' ')
  if (failed !== undefined) return `## ${title}\n\n${failed}\n`
  if (program !== 'step') return markdownTables(title, figures)
  // A waterfall is a picture: it stands below the tables of all else.
  const { waterfall, ...rest } = figures as { readonly waterfall?: Waterfall }
  const picture = waterfall ? `\n### waterfall\n\n\`\`\`text\n${describeWaterfall(waterfall)}\n\`\`\`\n` : ''
  return markdownTables(title, rest) + picture
}

/** The version of the PyTorch that some program measured beside, which says so in a field `torch`. */
export function pytorchVersion(runs: readonly MeasuredRun[]): string {
  const found = new Set<string>()
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    for (const [key, item] of Object.entries(value)) {
      const version = (item as { version?: unknown } | null)?.version
      if (key === 'torch' && typeof version === 'string') found.add(version)
      look(item)
    }
  }
  for (const { figures } of runs) look(figures)
  return found.size > 0 ? [...found].join(', ') : 'not measured'
}
