import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { expect, it } from 'vitest'
import { MetricsLog } from '../../src/training/metrics-log.js'

/** Files that this process has open by that name. */
const open = (path: string) =>
  readdirSync('/proc/self/fd').filter((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`) === path
    } catch {
      return false
    }
  }).length

it.skipIf(!existsSync('/proc/self/fd'))('a log that cannot be cut back is closed again', async () => {
  // It opens, and cannot be truncated.
  const before = open('/dev/null')
  await expect(MetricsLog.open('/dev/null')).rejects.toMatchObject({ code: 'IO' })
  expect(open('/dev/null')).toBe(before)
})
