/** For the tests of the log: the embedded log as `log-host.ts` opens it, in any process. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openLog } from '@millrace/connectors/log'
import type { LogClient } from 'millrace/testing'
import { openDatabase } from '../src/log/sqlite.ts'
import { Writer } from '../src/log/writer.ts'
import type { LogHost } from './log-host.ts'

export const embeddedLog = new URL(import.meta.url)

let last: (() => Promise<unknown>) | undefined
const request = Writer.prototype.request

export function open(folder: string): Promise<LogClient> {
  return openLog(folder, { upkeepEvery: '50ms' })
}

/** The last append of this process goes to its writer once more, as it was. */
export async function resendLast(): Promise<void> {
  await last?.()
}

Writer.prototype.request = function (this: Writer, ...args: Parameters<typeof request>) {
  if (args[0] === 'append') last = () => request.apply(this, args)
  return request.apply(this, args)
} as typeof request

/**
 * SIGSTOP, outside of a commit: a process that is stopped in the middle of one holds the lock of the file, and others
 * wait for it, which is told in the guide and tested on its own.
 */
export async function stopOutsideCommit(host: LogHost, folder: string): Promise<void> {
  const db = openDatabase(`${folder}/log.db`, 'write')
  try {
    for (;;) {
      host.stop()
      for (let tries = 0; tries < 50; tries++) {
        try {
          db.exec('BEGIN IMMEDIATE; ROLLBACK')
          return
        } catch {
          // Somebody has the lock: another process for a moment, or the stopped one for ever.
          await sleep(10)
        }
      }
      host.resume()
      await sleep(20)
    }
  } finally {
    db.close()
  }
}
