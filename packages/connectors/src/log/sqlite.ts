/** Opens the file of a log, and says what went wrong with it in our words. */
import type { DatabaseSync } from 'node:sqlite'
import { messageOf, OperationalError } from 'millrace/connector'

/** SQLite waits this long for the lock, with the thread; longer waits are ours and leave the thread free. */
const BUSY_MS = 20

export function openDatabase(path: string, use: 'read' | 'write'): DatabaseSync {
  const { DatabaseSync } = sqlite()
  let db: DatabaseSync
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS })
  } catch (thrown) {
    throw logError(thrown, path)
  }
  try {
    if (use === 'read') db.exec('PRAGMA query_only=1')
    else db.exec('PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-8000')
    return db
  } catch (thrown) {
    db.close()
    throw thrown
  }
}

/** `node:sqlite` without the warning that Node 22 prints to everybody's stderr when it is loaded. */
export function sqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (!String(warning).includes('SQLite is an experimental')) Reflect.apply(emitWarning, process, [warning, ...rest])
  }) as typeof process.emitWarning
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}

const primary = (thrown: unknown): number => ((thrown as { errcode?: number } | null)?.errcode ?? 0) & 0xff

/** Somebody else has the lock (SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL). */
export function isBusy(thrown: unknown): boolean {
  return [5, 6, 15].includes(primary(thrown))
}

/** Errors of SQLite as ours; others as they are. */
export function logError(thrown: unknown, path: string): unknown {
  if ((thrown as { code?: string } | null)?.code !== 'ERR_SQLITE_ERROR') return thrown
  const details = { cause: thrown, data: { path } }
  const what = messageOf(thrown)
  if (isBusy(thrown)) {
    return new OperationalError(
      'LOG_BUSY',
      `the log "${path}" is locked by another process: ${what}. Nothing was changed. A process that is stopped in the middle of a commit holds it; end that one, or try again.`,
      { ...details, retryable: true },
    )
  }
  const code = primary(thrown)
  // FULL, IOERR, CANTOPEN, READONLY, NOMEM
  if ([13, 10, 14, 8, 7].includes(code)) {
    return new OperationalError(
      'LOG_DISK',
      `the log "${path}" cannot be written or read: ${what}. What was acknowledged is stored; the rest is sent again. Make room on the disk, or see to its rights.`,
      { ...details, retryable: true },
    )
  }
  // CORRUPT, NOTADB
  if (code === 11 || code === 26) {
    return new OperationalError(
      'LOG_DAMAGED',
      `"${path}" is not a log any more: ${what}. Restore it from a copy, or move it away and begin anew.`,
      details,
    )
  }
  return new OperationalError('LOG_STORE', `the log "${path}" failed: ${what}.`, details)
}
