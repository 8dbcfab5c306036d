import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readJson } from '../src/files.js'
import type { BenchReport } from './report.js'

/** A report read again, with what one program of it measured. */
export interface FoundReport {
  /** Its file's name. */
  readonly file: string
  readonly report: BenchReport
  /** Of every run of the program, in order. */
  readonly figures: readonly unknown[]
}

/** The reports that `bench` saved in a folder; other files are passed over. @throws SemgenError IO, BAD_FILE */
export async function readReports(folder: string): Promise<Omit<FoundReport, 'figures'>[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()
  const read = await Promise.all(
    names.map(async (file) => ({ file, report: (await readJson(join(folder, file))) as Partial<BenchReport> | null })),
  )
  return read.flatMap(({ file, report }) =>
    report?.version === 1 && Array.isArray(report.runs) ? [{ file, report: report as BenchReport }] : [],
  )
}

/**
 * The newest of the reports in which a program measured the most: both precisions, where one machine has but one. The
 * simulator's time says nothing, and is passed over.
 */
export function newestWith(reports: readonly Omit<FoundReport, 'figures'>[], program: string): FoundReport | undefined {
  return reports
    .map(({ file, report }) => {
      const runs = report.runs.filter((run) => run.program === program && run.figures !== undefined)
      return { file, report, figures: runs.filter(({ options }) => !options.includes('sim')).map((run) => run.figures) }
    })
    .filter(({ figures }) => figures.length > 0)
    .sort((a, b) => a.figures.length - b.figures.length || (a.report.date < b.report.date ? -1 : 1))
    .at(-1)
}
