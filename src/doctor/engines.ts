import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { type EngineName, engineNames } from '../engine/addon.js'
import type { EngineAbout } from '../engine/index.js'

/** An engine that works here, or why it does not. */
export type EngineState =
  | ({ readonly engine: EngineName; readonly works: true } & EngineAbout)
  | { readonly engine: EngineName; readonly works: false; readonly why: string }

const answer = z.union([
  z.object({ library: z.string(), instructions: z.string(), bf16: z.boolean() }),
  z.object({ why: z.string() }),
])

/** Tries every engine in a process of its own: one that crashes while it loads takes only that process with it. */
export function examineEngines(): Promise<EngineState[]> {
  return Promise.all(engineNames.map(examineEngine))
}

async function examineEngine(engine: EngineName): Promise<EngineState> {
  const probe = fileURLToPath(new URL('./probe-engine.js', import.meta.url))
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [probe, engine], { timeout: 60_000 })
    const told = answer.parse(JSON.parse(stdout))
    return 'why' in told ? { engine, works: false, why: told.why } : { engine, works: true, ...told }
  } catch (error) {
    const { signal, stderr = '', message } = error as { signal?: string; stderr?: string; message: string }
    const why = signal ? `loading it was ended by ${signal}` : stderr.trim().split('\n').at(-1) || message
    return { engine, works: false, why: `The ${engine} engine crashes: ${why}.` }
  }
}
