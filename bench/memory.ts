import { readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'

/** The most memory this process has had since it began, or since resetPeak, in bytes. (maxRSS would count the parent's at the fork.) */
export function peakMemory(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1])
}

/** Lets peakMemory begin anew (proc(5): 5 in clear_refs). */
export function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

/** What this process and the page cache of its files may take together, in bytes: its cgroup's limit, or the machine's memory. */
export function memoryLimit(): number {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}
