import { readSafetensors } from '../weights/index.js'

/** What fine-tuned weights say of themselves: how to feed the network, and what it answers. */
export type Usage = Readonly<Record<string, unknown>>

/** The metadata of a .safetensors, values that are JSON parsed. @throws SemgenError IO, BAD_FILE */
export async function usageOf(path: string): Promise<Usage> {
  const { metadata } = await readSafetensors(path)
  return Object.fromEntries(
    Object.entries(metadata).map(([key, value]) => {
      try {
        return [key, JSON.parse(value)]
      } catch {
        return [key, value]
      }
    }),
  )
}
