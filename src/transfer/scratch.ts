import { randomBytes } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { lives } from '../hold-folder.js'

/** Folders that predictions of this process use. */
const used = new Set<string>()

/**
 * A folder for what a prediction keeps while it runs, prepared images above all: in the folder of its result and not in the
 * system's for temporary files, which is often memory. Those of predictions that were killed are removed first: the names say
 * machine and process, for several may write to a folder on a shared disk.
 * @param work gets its path; it is made by whoever writes to it, and removed in the end
 */
export async function withScratch<T>(out: string, work: (folder: string) => Promise<T>): Promise<T> {
  const machine = hostname().replace(/[^\w-]/g, '_')
  for (const name of await readdir(out)) {
    const [, on, pid] = /^\.prepared-(.+)-(\d+)-[0-9a-f]{8}$/.exec(name) ?? []
    if (on === machine && !used.has(join(out, name)) && !(Number(pid) !== process.pid && lives(Number(pid))))
      await rm(join(out, name), { recursive: true, force: true })
  }
  const folder = join(out, `.prepared-${machine}-${process.pid}-${randomBytes(4).toString('hex')}`)
  used.add(folder)
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
    used.delete(folder)
  }
}
