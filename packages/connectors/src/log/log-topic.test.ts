import { type ContractCheck, sinkContract, sourceContract } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { TestFolder } from '../../test/test-files.ts'
import { logTopic, openLog } from './index.ts'

function run(checks: readonly ContractCheck[]): void {
  for (const check of checks) test(check.name, check.run)
}

/** A topic of two partitions, the second one empty, written in batches of five records. */
async function topic(follow: boolean, values: readonly (string | null)[], rows: readonly number[]) {
  const folder = new TestFolder()
  const log = await openLog(folder.path)
  await log.admin.createTopic('t', { partitions: 2 })
  const producer = await log.producer()
  for (let i = 0; i < values.length; i += 5)
    await producer.send(values.slice(i, i + 5).map((value) => ({ topic: 't', partition: 0, value })))
  return {
    source: logTopic<number>({ log: folder.path, topic: 't', follow }),
    rows: { '0': rows, '1': [] },
    rejected: { '0': values.length - rows.length },
    async close() {
      await log.close()
      folder.remove()
    },
  }
}

const values = ['1', '2', '{', '3', null, '4', '{"', '5', '6', '7', '8', '9', '{']
const rows = [1, 2, 3, 4, 5, 6, 7, 8, 9]

describe('a topic keeps the contract of sources', () => {
  run(sourceContract('bounded', { make: () => topic(false, values, rows) }))
  run(sourceContract('followed', { make: () => topic(true, values, rows) }))
})

describe('a topic keeps the contract of sinks', () => {
  const make = async () => {
    const folder = new TestFolder()
    const log = await openLog(folder.path)
    return {
      sink: logTopic<{ t: string }>({ log: folder.path, topic: 'out' }),
      async read() {
        if (!(await log.admin.listTopics()).includes('out')) return []
        const consumer = await log.consumer({ topics: ['out'] })
        const records = await consumer.poll({ wait: '0ms' })
        await consumer.close()
        return records.map((record) => JSON.parse(String(record.value)))
      },
      async close() {
        await log.close()
        folder.remove()
      },
    }
  }
  const rows = ['a', 'b"', 'c\n', 'd', 'e,é'].map((t) => ({ t }))
  run(sinkContract('topic', { make, rows, appendOnly: true }))
})

describe('a topic as a sink', () => {
  test('refuses to begin anew where it has published under state that is gone', async () => {
    const folder = new TestFolder()
    const options = { log: folder.path, topic: 'out' }
    const ctx = {
      step: 'out',
      flow: 'f',
      disk: undefined as never,
      logFolder: 'unused',
      instance: { index: 0, count: 1 },
      signal: new AbortController().signal,
      lost() {},
      gauge() {},
      log() {},
    }
    async function* bytes() {
      yield logRecord
    }
    const writer = await logTopic<number>(options).open(ctx)
    const { RowBatch } = await import('millrace/connector')
    const logRecord = (await writer.write(new RowBatch([1], [0]))) as Uint8Array
    const first = await logTopic<number>(options).committer?.(ctx)
    await first?.restore(undefined)
    await first?.publish({ sequence: 0 }, { sequence: 1 }, bytes())
    await first?.close()
    const second = await logTopic<number>(options).committer?.(ctx)
    expect(() => second?.restore(undefined)).toThrow('has published 1 times')
    expect(() => second?.restore({ sequence: 2 })).toThrow('but 2 were committed')
    await second?.close()
    const log = await openLog(folder.path)
    await log.admin.deleteTopic('out')
    const third = await logTopic<number>(options).committer?.(ctx)
    third?.restore(undefined)
    await third?.close()
    await log.close()
    await expect(logTopic({ ...options, partitions: 3 }).committer?.(ctx)).rejects.toMatchObject({
      code: 'LOG_PARTITIONS',
    })
    folder.remove()
  })
})
