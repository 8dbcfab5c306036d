/** Figures as people read them. Programs read the JSON beside. */

/** 1.5 GiB */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, count)) / 10)))
  const value = count / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`
}

/** 0.8 s, 45 s, 3 min 20 s, 2 h 05 min, 3 d 4 h */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown'
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
  const hours = Math.round(seconds / 3600)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

const two = (value: number): string => String(value).padStart(2, '0')

/** Four significant digits, without an exponent where it would not help: 0.01234, 12.35, 1,234, 1.2e-7. */
export function figure(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size < 1e-4) return value.toExponential(2)
  if (size >= 1000) return whole(value)
  return String(Number(value.toPrecision(4)))
}

/** How far restored cubes are from where they began, whichever way they went: "3.1 times below the perturbed input’s 0.02". */
export function besidePerturbed(restoration: number, perturbed: number): string {
  const below = perturbed >= restoration
  const ratio = Number((below ? perturbed / restoration : restoration / perturbed).toPrecision(3))
  return `${figure(ratio)} times ${below ? 'below' : 'above'} the perturbed input’s ${figure(perturbed)}`
}

/** 0.912; a dash for what there is not */
export const three = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(3))

/** 0.871 to 0.943; a dash for what there is not */
export const range = (interval: readonly [number, number] | undefined): string =>
  interval ? `${three(interval[0])} to ${three(interval[1])}` : '–'

/** 12.3 %, from a share of 1 */
export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

/** 33,277,613 */
export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-GB')
}

/** "1 scan", "3 scans": nouns whose plural ends in s. */
export function counted(count: number, noun: string): string {
  return `${whole(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Text of strangers (file names, headers) as a terminal may show it: control characters become "\x1b" and the like. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
