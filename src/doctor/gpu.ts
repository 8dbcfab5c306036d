import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface Gpus {
  /** Version of the NVIDIA kernel driver; undefined when it is not loaded. */
  readonly driver: string | undefined
  readonly cards: readonly Card[]
  /** Who told about the cards, or why nobody could. */
  readonly source: string
}

export interface Card {
  readonly name: string
  /** Where nvidia-smi told. */
  readonly memoryBytes?: number
  readonly freeBytes?: number
  readonly computeCapability?: string
}

const driverFolder = '/proc/driver/nvidia'

/** NVIDIA cards, as the driver and nvidia-smi tell of them. Nothing is guessed where they are silent. */
export async function examineGpus(): Promise<Gpus> {
  const driver = await kernelDriver()
  const told = await nvidiaSmi()
  if (Array.isArray(told)) return { driver, cards: told, source: 'nvidia-smi' }
  const cards = await kernelCards()
  if (cards.length > 0) return { driver, cards, source: `${driverFolder}, as ${told}` }
  return {
    driver,
    cards,
    source: driver ? `the driver is loaded and names no card; ${told}` : 'no NVIDIA driver is loaded',
  }
}

async function kernelDriver(): Promise<string | undefined> {
  const version = await readFile(`${driverFolder}/version`, 'utf8').catch(() => '')
  return parseDriverVersion(version)
}

/** The version in the text of /proc/driver/nvidia/version. */
export function parseDriverVersion(text: string): string | undefined {
  return /^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s/m.exec(text)?.[1]
}

async function kernelCards(): Promise<Card[]> {
  const places = await readdir(`${driverFolder}/gpus`).catch(() => [])
  const texts = await Promise.all(
    places.sort().map((place) => readFile(`${driverFolder}/gpus/${place}/information`, 'utf8').catch(() => '')),
  )
  return texts.flatMap((text) => {
    const name = /^Model:\s*(.+)$/m.exec(text)?.[1]?.trim()
    return name ? [{ name }] : []
  })
}

/** What nvidia-smi says of every card, or why it says nothing. */
async function nvidiaSmi(): Promise<Card[] | string> {
  const query = ['--query-gpu=name,memory.total,memory.free,compute_cap', '--format=csv,noheader,nounits']
  try {
    return parseCards((await promisify(execFile)('nvidia-smi', query, { timeout: 10_000 })).stdout)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'nvidia-smi is not installed'
    const { stdout = '', killed } = error as { stdout?: string; killed?: boolean }
    return killed ? 'nvidia-smi did not answer' : `nvidia-smi failed: ${stdout.trim().split('\n')[0]}`
  }
}

/** Lines of "NVIDIA H200, 143771, 140000, 9.0": name, MiB in all and free, compute capability; what a card does not tell is "[N/A]". */
export function parseCards(csv: string): Card[] {
  return csv
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [name = '', memory = '', free = '', capability = ''] = line.split(',').map((part) => part.trim())
      return {
        name,
        ...(/^\d+$/.test(memory) ? { memoryBytes: Number(memory) * 2 ** 20 } : {}),
        ...(/^\d+$/.test(free) ? { freeBytes: Number(free) * 2 ** 20 } : {}),
        ...(/^\d+\.\d+$/.test(capability) ? { computeCapability: capability } : {}),
      }
    })
}
