/** One write transaction, with a wait for the lock that leaves the thread free. */
import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { isBusy, logError } from './sqlite.ts'

/** How long we try to get the lock: another process may be stopped, or its disk slow. */
const LOCK_MS = 30_000
/** Longest pause between two tries, drawn anew each time so that processes do not go in step. */
const PAUSE_MS = 5

/** Runs `body` between BEGIN IMMEDIATE and COMMIT. @throws OperationalError `LOG_BUSY`, `LOG_DISK`, ... */
export async function inTransaction<R>(db: DatabaseSync, path: string, body: () => R): Promise<R> {
  await begin(db, path)
  try {
    const result = body()
    db.exec('COMMIT')
    return result
  } catch (thrown) {
    rollBack(db)
    throw logError(thrown, path)
  }
}

export async function begin(db: DatabaseSync, path: string): Promise<void> {
  await patiently(path, () => db.exec('BEGIN IMMEDIATE'))
}

/** Tries again while another process has the lock. */
export async function patiently<R>(path: string, body: () => R): Promise<R> {
  for (const until = Date.now() + LOCK_MS; ; ) {
    try {
      return body()
    } catch (thrown) {
      if (!isBusy(thrown) || Date.now() > until) throw logError(thrown, path)
      await sleep(Math.random() * PAUSE_MS)
    }
  }
}

/** Also after errors that made SQLite roll back by itself. */
export function rollBack(db: DatabaseSync): void {
  try {
    if (db.isTransaction) db.exec('ROLLBACK')
  } catch {
    // The error that brought us here says more.
  }
}
