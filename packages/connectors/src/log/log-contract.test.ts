import { logContract } from 'millrace/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { embeddedLog, open, resendLast, stopOutsideCommit } from '../../test/embedded-log.ts'
import { LogHost } from '../../test/log-host.ts'
import { TestFolder } from '../../test/test-files.ts'

const TIMEOUT_MS = 120_000

const skipped: string[] = []

/** The process that holds the log, and ends with the check. */
async function startProcess(folder: TestFolder) {
  const host = new LogHost(embeddedLog)
  return host.process(folder.path, () => stopOutsideCommit(host, folder.path))
}

describe('the embedded log keeps the contract of logs, with all handles in one process', () => {
  const checks = logContract('one process', {
    async open() {
      const folder = new TestFolder()
      const log = await open(folder.path)
      const others: Awaited<ReturnType<typeof open>>[] = []
      return {
        log,
        async second() {
          const other = await open(folder.path)
          others.push(other)
          return other
        },
        resendLast,
        process: () => startProcess(folder),
        async close() {
          for (const other of others) await other.close()
          await log.close()
          folder.remove()
        },
      }
    },
    // The other suite does it, with a process more.
    kills: 1,
    skipped: (check) => skipped.push(check),
  })
  for (const check of checks) test(check.name, check.run, TIMEOUT_MS)
})

describe('the embedded log keeps the contract of logs, with every handle in a process of its own', () => {
  const hosts: LogHost[] = []
  beforeAll(() => {
    for (let i = 0; i < 4; i++) hosts.push(new LogHost(embeddedLog))
  })
  afterAll(() => Promise.all(hosts.map((host) => host.kill())))

  const checks = logContract('four processes', {
    async open() {
      const folder = new TestFolder()
      const handles = [await hosts[0].open(folder.path)]
      return {
        log: handles[0],
        async second() {
          // Asked for several at once: the place is taken before anything is waited for.
          const at = handles.push(handles[0]) - 1
          handles[at] = await hosts[at].open(folder.path)
          return handles[at]
        },
        resendLast: (producer) => hosts[0].resendLast(producer),
        process: () => startProcess(folder),
        async close() {
          for (const handle of handles) await handle.close()
          folder.remove()
        },
      }
    },
    handles: 4,
    kills: Number(process.env.MILLRACE_KILLS ?? 5),
    skipped: (check) => skipped.push(check),
  })
  for (const check of checks) test(check.name, check.run, TIMEOUT_MS)
})

test('no check was left out', () => {
  expect(skipped).toEqual([])
})
