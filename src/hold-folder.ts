import { readFileSync, rmSync } from 'node:fs'
import { mkdir, realpath, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { reason, SemgenError } from './errors.js'
import { writeAtomically } from './files.js'

/** The lock's file. */
export const lockName = '.lock'

/** Locks that this process holds, or is about to. */
const held = new Set<string>()
/** Longer than it takes to write a number into a file that is there already. */
const moment = 50
let leaving = false

/**
 * Makes a folder, where it is not there yet, and holds it: no other run may write to it until it is let go. The lock is a
 * file, `.lock`, with the process's number, so it counts on this machine alone; one whose process is gone is taken over.
 * However this process ends, the lock goes with it, but for a kill.
 * @returns what lets the folder go
 * @throws SemgenError BAD_OPTION when a living process holds it, IO when it cannot be made or written
 */
export async function holdFolder(folder: string): Promise<() => void> {
  try {
    await mkdir(folder, { recursive: true })
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder')
    return await hold(folder, join(await realpath(folder), lockName))
  } catch (error) {
    if (error instanceof SemgenError && error.code === 'BAD_OPTION') throw error
    throw new SemgenError('IO', `${folder} cannot be used for a run: ${reason(error)}.`, { cause: error })
  }
}

/** Holds a folder, as holdFolder does, for as long as the work takes. */
export async function whileHolding<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const letGo = await holdFolder(folder)
  try {
    return await work()
  } finally {
    letGo()
  }
}

async function hold(folder: string, lock: string): Promise<() => void> {
  if (held.has(lock)) throw inUse(folder, lock, process.pid)
  held.add(lock)
  // Before what listens already: an addon whose threads are at work ends the process there.
  if (!leaving) process.prependOnceListener('exit', () => held.forEach(letGo))
  leaving = true
  try {
    if (!(await created(lock))) await takeOver(folder, lock)
  } catch (error) {
    letGo(lock)
    throw error
  }
  return () => letGo(lock)
}

/** @returns false where there is a lock already */
async function created(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, `${process.pid}\n`, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    // A lock without a number, on a disk that is full, would say nothing to anybody.
    rmSync(lock, { force: true })
    throw error
  }
}

async function takeOver(folder: string, lock: string): Promise<void> {
  if (ownerOf(lock) === undefined) await setTimeout(moment) // it may be about to be written
  const owner = ownerOf(lock)
  // A number that is this process's own, which does not hold it, was left by another that is gone.
  if (owner !== undefined && owner !== process.pid && lives(owner)) throw inUse(folder, lock, owner)
  await writeAtomically(lock, `${process.pid}\n`)
  // Of several that find it left behind at once, the last to write has it.
  await setTimeout(moment)
  const winner = ownerOf(lock)
  if (winner !== process.pid) throw inUse(folder, lock, winner ?? owner)
}

/** Called when the process exits, too, where nothing asynchronous is done any more. */
function letGo(lock: string): void {
  if (held.delete(lock) && ownerOf(lock) === process.pid) rmSync(lock, { force: true })
}

function ownerOf(lock: string): number | undefined {
  try {
    const [number] = /^[1-9]\d*(?=\s*$)/.exec(readFileSync(lock, 'utf8')) ?? []
    return number === undefined ? undefined : Number(number)
  } catch {
    return undefined
  }
}

/** Whether there is a process of this number on this machine. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It lives, and is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function inUse(folder: string, lock: string, pid: number | undefined): SemgenError {
  return new SemgenError(
    'BAD_OPTION',
    `${folder} is in use by process ${pid}: wait until it ends, stop it, or give another --out (if it is another program, delete ${lock}).`,
  )
}
