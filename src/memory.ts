import { freemem, totalmem } from 'node:os'

/**
 * Bytes that the container or control group allows this process; undefined where it allows all that the machine has. Node.js
 * says 0 where there is no limit to know of, and a number beyond any memory where there is none.
 */
export function containerLimit(): number | undefined {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : undefined
}

/** Bytes that this process and the page cache of its files may take together: its container's, or the machine's. */
export function memoryLimit(): number {
  return containerLimit() ?? totalmem()
}

/** Bytes that this process may still take: of the machine, or of the container it runs in. */
export function freeHostMemory(): number {
  const limit = containerLimit()
  return limit === undefined ? freemem() : Math.min(freemem(), Math.max(0, limit - process.memoryUsage.rss()))
}
