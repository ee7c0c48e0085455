import type { LogClientConsumerOptions } from 'millrace/testing'
import { logContract } from 'millrace/testing'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { startLogProcess } from '../../test/log-process.ts'
import { TestFolder } from '../../test/test-files.ts'
import { openLog } from './index.ts'
import { Writer } from './writer.ts'

const request = vi.spyOn(Writer.prototype, 'request')
afterAll(() => request.mockRestore())

/** The last append goes to its writer once more, as it was. */
async function resendLast(): Promise<void> {
  const at = request.mock.calls.findLastIndex(([name]) => name === 'append')
  const [name, argument] = request.mock.calls[at]
  await Reflect.apply(Writer.prototype.request, request.mock.contexts[at], [name, argument])
}

const skipped: string[] = []

describe('the embedded log keeps the contract of logs', () => {
  const checks = logContract('embedded', {
    async open() {
      const folder = new TestFolder()
      const open = () => openLog(folder.path, { upkeepEvery: '50ms' })
      const log = await open()
      const others: Awaited<ReturnType<typeof open>>[] = []
      return {
        log,
        async second() {
          const other = await open()
          others.push(other)
          return other
        },
        resendLast,
        async dyingMember({ group = '', topics, lease = '1s' }: LogClientConsumerOptions) {
          const member = startLogProcess(folder.path, { role: 'member', group, topics, lease })
          await member.saying('joined')
          member.child.kill('SIGKILL')
          await member.ended
        },
        async close() {
          for (const other of others) await other.close()
          await log.close()
          folder.remove()
        },
      }
    },
    skipped: (check) => skipped.push(check),
  })
  for (const check of checks) test(check.name, check.run, 30_000)

  test('no check was left out', () => {
    expect(skipped).toEqual([])
  })
})
