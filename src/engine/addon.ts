import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { reason, SemgenError } from '../errors.js'
import type { CubesAddon } from './cubes-addon.js'
import type { EngineAddon } from './engine-addon.js'
import type { PatchesAddon } from './patches-addon.js'
import type { SimulatorAddon } from './simulator-addon.js'
import type { VolumesAddon } from './volumes-addon.js'

/** What every addon exports, whatever engine it was built for. Each room adds its own part (src/engine/<room>-addon.ts). */
export interface Addon extends EngineAddon, CubesAddon, PatchesAddon, VolumesAddon, SimulatorAddon {
  readonly engineName: EngineName
  /** Ends the process where threads of the addon are at work; else does nothing. */
  leave(code: number): void
}

export const engineNames = ['cpu', 'cuda', 'sim'] as const
export type EngineName = (typeof engineNames)[number]

const loaded = new Map<EngineName, Addon>()

/**
 * The native addon of an engine, loaded once.
 * @throws SemgenError NO_DEVICE when it was not built, or when the system cannot load it.
 */
export function addon(engine: EngineName = 'cpu'): Addon {
  const known = loaded.get(engine)
  if (known) return known
  const folder = folderOf(engine)
  if (!isBuilt(engine))
    throw new SemgenError(
      'NO_DEVICE',
      `The ${engine} engine is not built here: ${folder} holds none. ` +
        `Run "npm run ${engine === 'cuda' ? 'build:cuda", which needs nvcc' : 'setup"'}.`,
    )
  const require = createRequire(import.meta.url)
  try {
    const found = (require('node-gyp-build') as (folder: string) => Addon)(folder)
    loaded.set(engine, found)
    // Its threads may be at work when the process is told to end, and must not lose what they use meanwhile.
    if (isMainThread) process.once('exit', (code) => found.leave(code))
    return found
  } catch (error) {
    throw new SemgenError('NO_DEVICE', `The ${engine} engine could not be loaded: ${reason(error)}.`, { cause: error })
  }
}

const folderOf = (engine: EngineName): string => join(projectRoot(), 'native', engine)

/** Whether the addon of an engine is there to be loaded. */
export function isBuilt(engine: EngineName): boolean {
  const folder = folderOf(engine)
  const built = join(folder, 'build/Release')
  if (existsSync(built) && readdirSync(built).some((name) => name.endsWith('.node'))) return true
  return existsSync(join(folder, 'prebuilds'))
}

/** The folder of package.json, from the sources (src/engine) as from the build (dist/src/engine). */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}
