/**
 * One process per state folder. Lock files are numbered, LOCK-<n>, and the highest number counts: a dead holder is
 * followed by exclusively creating the next number, so of two that start at once one wins.
 *
 * Invariants:
 *  L1  The highest number never falls: a file is removed only when a higher one exists; a release is a mark in the file.
 *  L2  Who has created a number looks again, and gives way to a higher one. By L1, whoever could create an old number
 *      finds the higher one there.
 */
import { OperationalError, UsageError } from '../errors.ts'
import type { Disk, Processes } from '../runtime/ports.ts'
import type { OnWrite } from './write-sites.ts'

export interface FlowLock {
  /** Fails when another process has taken over; a defence in depth, once a second or per commit. @throws OperationalError `FLOW_FENCED` */
  check(): Promise<void>
  release(): Promise<void>
}

interface Holder {
  readonly pid: number
  readonly host: string
  readonly identity: string | undefined
  readonly startedAt: number
}

const TRIES_MAX = 100

/**
 * Takes the lock of a state folder.
 * @throws UsageError `FLOW_RUNNING` naming the process that holds it
 */
export async function lockFlow(options: {
  readonly disk: Disk
  readonly folder: string
  readonly processes: Processes
  readonly nowMs: number
  /** Waits a moment: another process may be between creating and writing its lock. */
  readonly pause: () => Promise<void>
  readonly onWrite?: OnWrite
}): Promise<FlowLock> {
  const { disk, folder, processes, nowMs, pause } = options
  const onWrite = options.onWrite ?? (() => {})
  await disk.makeFolder(folder)
  let emptySeen = 0
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const highest = (await numbers(disk, folder)).at(-1) ?? 0
    const holder = highest === 0 ? 'free' : await readHolder(disk, lockPath(folder, highest))
    if (holder === 'empty' && emptySeen++ < 20) {
      await pause()
      continue
    }
    if (typeof holder === 'object' && isLive(holder, processes)) throw runningError(folder, highest, holder)
    const number = highest + 1
    const mine: Holder = {
      pid: processes.pid,
      host: processes.host,
      identity: processes.identity(processes.pid),
      startedAt: nowMs,
    }
    if (!(await create(disk, lockPath(folder, number), mine, onWrite))) continue
    const now = await numbers(disk, folder)
    if (now.at(-1) !== number) {
      await disk.remove(lockPath(folder, number))
      continue
    }
    for (const old of now.slice(0, -1)) await disk.remove(lockPath(folder, old))
    await disk.syncFolder(folder)
    return heldLock(disk, folder, number, onWrite)
  }
  throw new OperationalError(
    'FLOW_RUNNING',
    `the lock of ${folder} changed hands ${TRIES_MAX} times while this process tried to take it.`,
    {
      retryable: true,
    },
  )
}

function heldLock(disk: Disk, folder: string, number: number, onWrite: OnWrite): FlowLock {
  return {
    async check() {
      const highest = (await numbers(disk, folder)).at(-1)
      if (highest === number) return
      throw new OperationalError(
        'FLOW_FENCED',
        `another process took over ${folder} (lock ${highest ?? 'removed'}, ours is ${number}). This process stops without committing.`,
        { data: { folder } },
      )
    },
    async release() {
      await onWrite('lock.release')
      const file = await disk.open(lockPath(folder, number), 'append')
      await file.append(Buffer.from('released\n', 'latin1'))
      await file.close()
    },
  }
}

async function create(disk: Disk, path: string, holder: Holder, onWrite: OnWrite): Promise<boolean> {
  try {
    await onWrite('lock.create')
    const file = await disk.open(path, 'exclusive')
    try {
      await onWrite('lock.write')
      await file.append(Buffer.from(`${JSON.stringify(holder)}\n`, 'utf8'))
      await file.sync()
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    if (error instanceof OperationalError && error.code === 'DISK_EXISTS') return false
    throw error
  }
}

async function readHolder(disk: Disk, path: string): Promise<Holder | 'free' | 'empty'> {
  const bytes = await disk.read(path)
  const lines = Buffer.from(bytes ?? [])
    .toString('utf8')
    .split('\n')
  if (lines.length < 2) return 'empty'
  if (lines[1] === 'released') return 'free'
  try {
    return JSON.parse(lines[0]) as Holder
  } catch {
    return 'empty'
  }
}

function isLive(holder: Holder, processes: Processes): boolean {
  // Another machine's processes cannot be asked: better refuse than run twice.
  if (holder.host !== processes.host) return true
  if (!processes.isAlive(holder.pid)) return false
  const identity = processes.identity(holder.pid)
  return holder.identity === undefined || identity === undefined || identity === holder.identity
}

async function numbers(disk: Disk, folder: string): Promise<number[]> {
  const names = await disk.list(folder)
  return names
    .filter((name) => /^LOCK-\d+$/.test(name))
    .map((name) => Number(name.slice(5)))
    .sort((a, b) => a - b)
}

function lockPath(folder: string, number: number): string {
  return `${folder}/LOCK-${number}`
}

function runningError(folder: string, number: number, holder: Holder): UsageError {
  const since = new Date(holder.startedAt).toISOString()
  return new UsageError(
    'FLOW_RUNNING',
    `process ${holder.pid} on ${holder.host} has been running on ${folder} since ${since}; two processes would spoil each other's state. Stop it first, or use another state folder. If that host is gone, remove ${folder}/LOCK-${number}.`,
    { data: { folder, pid: holder.pid, host: holder.host } },
  )
}
