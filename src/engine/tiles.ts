import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { reason, SemgenError } from '../errors.js'
import { writeAtomically } from '../files.js'

const choice = z.strictObject({
  /** In runs of points, in bricks with a halo in shared memory, or with the taps of one channel as depth. */
  way: z.enum(['runs', 'bricks', 'one-channel']),
  /** Channels that a block computes. */
  columns: z.union([z.literal(16), z.literal(32), z.literal(64), z.literal(128)]),
  /** Parts of a weight gradient's points that are summed apart, and then in order. */
  splits: z.number().int().min(1).max(65535).default(1),
})

/** How a card's engine computes one convolution or weight gradient. */
export type TileChoice = Readonly<z.infer<typeof choice>>

const tuned = z.strictObject({
  date: z.string(),
  command: z.string(),
  card: z.string(),
  library: z.string(),
  program: z.string(),
  node: z.string(),
  machine: z.string(),
})

const file = z.strictObject({
  format: z.literal('semgen-native tiles'),
  version: z.literal(1),
  /** Which tunings it holds the results of. */
  tuned: z.array(tuned).max(10_000),
  /** By architecture, arithmetic and shape, as the engine writes them. */
  tiles: z.record(z.string().regex(/^(sm_\d+|sim) (bf16|tf32|fp32) (convolution|weight gradient) /), choice),
})

export type TileFile = z.infer<typeof file>
export type Tuning = z.infer<typeof tuned>

/** tiles.json, which `bench tune` writes: tile shapes for an engine to take instead of what it would choose. */
export interface TileTable {
  readonly choices: Readonly<Record<string, TileChoice>>
  /** What tells it from another: the same table gives the same bits. */
  readonly digest: string
}

const mostBytes = 2 ** 24

/** @throws SemgenError IO when it cannot be read, BAD_FILE when it is no table of tiles */
export function readTileFile(path: string): TileFile {
  let text: string
  try {
    const { size } = statSync(path)
    if (size > mostBytes) throw new SemgenError('BAD_FILE', `${path} is ${size} bytes, too many for a table of tiles.`)
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof SemgenError) throw error
    throw new SemgenError('IO', `The table of tiles ${path} could not be read: ${reason(error)}.`, { cause: error })
  }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (error) {
    throw new SemgenError('BAD_FILE', `${path} is not valid JSON: ${reason(error)}.`, { cause: error })
  }
  const parsed = file.safeParse(content)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new SemgenError(
    'BAD_FILE',
    `${path} is no table of tiles as bench tune writes it: ${issue?.path.join(', ') || 'the file'}: ${issue?.message}.`,
  )
}

/** @throws SemgenError as readTileFile */
export function readTiles(path: string): TileTable {
  const { tiles } = readTileFile(path)
  const sorted = Object.entries(tiles).sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    choices: tiles,
    digest: createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16),
  }
}

/** Writes it whole or not at all. @throws SemgenError IO */
export async function writeTileFile(path: string, { tuned, tiles }: Pick<TileFile, 'tuned' | 'tiles'>): Promise<void> {
  const content: TileFile = { format: 'semgen-native tiles', version: 1, tuned, tiles }
  await writeAtomically(path, `${JSON.stringify(content, null, 1)}\n`)
}
