/** Names that users give, and names of the files of a log. */
import path from 'node:path'
import { UsageError } from 'millrace/connector'
import type { Beginning } from './client.ts'

/** The one file that holds everything; SQLite puts `-wal` and `-shm` beside it. */
export const databaseFile = (folder: string): string => path.join(folder, 'log.db')

/** Touched after every commit. */
export const bellFile = (folder: string): string => path.join(folder, 'bell')

/** Kafka's rule for topics, so that a flow can move there. @throws UsageError `LOG_NAME` */
export function checkName(what: 'topic' | 'group' | 'transactional id', name: string): string {
  if (typeof name === 'string' && /^[A-Za-z0-9._-]{1,200}$/.test(name) && name !== '.' && name !== '..') return name
  throw new UsageError(
    'LOG_NAME',
    `${JSON.stringify(name)} is no name for a ${what}: 1 to 200 letters, digits, dots, dashes or underscores.`,
  )
}

/** @throws UsageError `LOG_OPTION` */
export function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new UsageError('LOG_OPTION', `${name} is ${value}; it must be a whole number from ${min} to ${max}.`)
}

/** @throws UsageError `LOG_OPTION` */
export function checkTime(time: number): void {
  if (Number.isFinite(time)) return
  throw new UsageError('LOG_OPTION', `time is ${time}; it must be a finite number of milliseconds since the epoch.`)
}

/** @throws UsageError `LOG_OPTION` */
export function checkBeginning(from: Beginning): void {
  if (typeof from === 'object' && from !== null) checkTime(from.time)
  else if (from !== 'earliest' && from !== 'latest')
    throw new UsageError('LOG_OPTION', `from is ${JSON.stringify(from)}; it must be 'earliest', 'latest' or { time }.`)
}
