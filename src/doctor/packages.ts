import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { projectRoot } from '../engine/addon.js'

export interface Package {
  readonly name: string
  /** As package.json asks for. */
  readonly wanted: string
  /** Undefined when it is not installed. */
  readonly installed: string | undefined
}

/** The packages that this program needs when it runs, and which of them are there. */
export async function examinePackages(): Promise<Package[]> {
  const own = JSON.parse(await readFile(join(projectRoot(), 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Promise.all(
    Object.entries(own.dependencies).map(async ([name, wanted]) => ({
      name,
      wanted,
      installed: await versionOf(name),
    })),
  )
}

/** Looks in every folder where Node would: packages may refuse to hand out their package.json. */
async function versionOf(name: string): Promise<string | undefined> {
  const folders = createRequire(join(projectRoot(), 'package.json')).resolve.paths(name) ?? []
  for (const folder of folders) {
    const text = await readFile(join(folder, name, 'package.json'), 'utf8').catch(() => undefined)
    if (text !== undefined) return (JSON.parse(text) as { version: string }).version
  }
  return undefined
}
