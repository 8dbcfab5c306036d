import type { NetworkShape } from '../nn/index.js'
import { fitLines } from './fit.js'
import { checkTarget, readNetwork, writeNetwork } from './network-file.js'

export interface ConvertOptions {
  readonly file: string
  /** Ends in .safetensors, .pt, .pth or .onnx. */
  readonly out: string
  /** What normalises at inference, where the file does not say it or says it wrongly. */
  readonly norm?: NetworkShape['norm'] | undefined
  readonly patch?: NetworkShape['patch'] | undefined
  /** Millimetres of a voxel that the network was trained on. */
  readonly spacing?: readonly [number, number, number] | undefined
  /** Intensities that become 0 and 1. */
  readonly window?: readonly [number, number] | undefined
  readonly force: boolean
}

/**
 * Writes a network in another format. What the options say replaces what the file says of its use.
 * @returns what was taken, and what remains unknown, for people
 * @throws SemgenError BAD_OPTION, BAD_CHECKPOINT when the file holds no whole network; BAD_FILE, UNSUPPORTED, IO
 */
export async function convertWeights(options: ConvertOptions): Promise<string[]> {
  const { out, norm, patch, spacing, window } = options
  await checkTarget(out, options.force)
  const { shape, values, metadata, fit } = await readNetwork(options.file)
  const usage = {
    ...metadata,
    ...(spacing ? { spacing: JSON.stringify(spacing) } : {}),
    ...(window ? { intensities: JSON.stringify({ window }) } : {}),
  }
  const said = { ...shape, ...(norm ? { norm } : {}), ...(patch ? { patch } : {}) }
  await writeNetwork(out, { shape: said, values, metadata: usage })
  return [
    ...fitLines(fit),
    `${out}: ${said.kind}, base width ${said.baseWidth}, depth ${said.depth}, ${said.inputChannels} channels in, patch ${said.patch.join('x')}, normalised by ${said.norm} statistics.`,
    ...(usage.intensities ? [] : ['Its intensities are not recorded: say them with --window=LOW,HIGH.']),
    ...(usage.spacing ? [] : ['Its voxel size is not recorded: say it with --spacing.']),
  ]
}
