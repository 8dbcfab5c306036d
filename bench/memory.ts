import { readFileSync, writeFileSync } from 'node:fs'

/** The most memory this process has had since it began, or since resetPeak, in bytes. (maxRSS would count the parent's at the fork.) */
export function peakMemory(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1])
}

/** Lets peakMemory begin anew (proc(5): 5 in clear_refs). */
export function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}
