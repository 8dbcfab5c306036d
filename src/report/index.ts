import { join } from 'node:path'
import { writeAtomically } from '../files.js'
import { page } from './page.js'
import { readRun } from './read-run.js'

export { type MetricsEvent, metricsEvent, type RunConfiguration, runConfiguration, samplesFile } from './run-files.js'

/**
 * Writes report.html into a run's folder: one file that opens by itself. The run may be unfinished, and parts may be
 * missing: the page says so.
 * @returns the path of the page
 * @throws SemgenError IO or BAD_FILE when the folder is no run's, IO when the page cannot be written
 */
export async function writeReport(folder: string): Promise<string> {
  const run = await readRun(folder)
  const path = join(folder, 'report.html')
  await writeAtomically(path, await page(run))
  return path
}
