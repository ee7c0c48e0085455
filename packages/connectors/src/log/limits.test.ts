import { dataflow } from 'millrace'
import type { SinkContext } from 'millrace/connector'
import { arraySink } from 'millrace/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestFolder, testContext } from '../../test/test-files.ts'
import { type Log, logTopic, openLog } from './index.ts'
import { openDatabase } from './sqlite.ts'

let folder: TestFolder
let log: Log
beforeEach(async () => {
  folder = new TestFolder()
  log = await openLog(folder.path, { upkeepEvery: '30ms' })
})
afterEach(async () => {
  await log.close()
  folder.remove()
})

function sinkContext(): SinkContext {
  const { reject: _, now: __, wait: ___, ...shared } = testContext()
  return { ...shared, instance: { index: 0, count: 1 } }
}

test('a commit that publishes more than 256 MiB is refused by name, with nothing appended and the remedy said', async () => {
  const committer = await logTopic({ log: folder.path, topic: 't' }).committer?.(sinkContext())
  committer?.restore(undefined)
  const part = Buffer.alloc(1024 * 1024)
  let given = 0
  async function* staged() {
    for (; given < 300; given++) yield part
  }
  await expect(committer?.publish(undefined, { sequence: 1 }, staged())).rejects.toMatchObject({
    code: 'LOG_EPOCH_LARGE',
    message: expect.stringContaining('Commit more often (commitEvery)'),
  })
  expect(given).toBe(256)
  expect((await log.admin.describe('t')).partitions[0].next).toBe(0)
  await committer?.close()
})

test('a transaction of more than 64 MiB is refused by name, and nothing of it is visible after abort', async () => {
  await log.admin.createTopic('t')
  const producer = await log.producer({ transactionalId: 'x' })
  await producer.begin()
  const value = Buffer.alloc(15 * 1024 * 1024)
  const sending = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await producer.send({ topic: 't', value })
  }
  await expect(sending()).rejects.toMatchObject({
    code: 'LOG_TRANSACTION_LARGE',
    message: expect.stringContaining('abort() it and commit more often'),
  })
  await producer.abort()
  expect((await log.admin.describe('t')).partitions[0].next).toBe(0)
})

test('a producer that is faster than the disk holds 32 MiB and then makes its callers wait', async () => {
  await log.admin.createTopic('t')
  const producer = await log.producer()
  const value = Buffer.alloc(1024 * 1024)
  // The file's lock is held, so nothing can be stored.
  const db = openDatabase(folder.at('log.db'), 'write')
  db.exec('BEGIN IMMEDIATE')
  const sends: Promise<unknown>[] = []
  for (let i = 0; i < 60; i++) {
    sends.push(producer.send({ topic: 't', value }))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(producer.waitingBytes).toBeGreaterThan(32 * value.length)
  expect(producer.waitingBytes).toBeLessThan(34 * value.length)
  db.exec('ROLLBACK')
  db.close()
  await Promise.all(sends)
  expect(producer.waitingBytes).toBe(0)
  expect((await log.admin.describe('t')).partitions[0].next).toBe(60)
})

test('an append waits for whoever holds the lock of the file, and is stored once', async () => {
  await log.admin.createTopic('t')
  const producer = await log.producer()
  const db = openDatabase(folder.at('log.db'), 'write')
  db.exec('BEGIN IMMEDIATE')
  const sending = producer.send({ topic: 't', value: 'x' })
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect((await log.admin.describe('t')).partitions[0].next).toBe(0)
  db.exec('ROLLBACK')
  db.close()
  expect(await sending).toEqual([{ topic: 't', partition: 0, offset: 0 }])
})

test('a flow whose records retention removed before it read them stops and says how many are gone', async () => {
  await log.admin.createTopic('t', { retention: 'forever' })
  const producer = await log.producer()
  await producer.send([0, 1, 2, 3].map((n) => ({ topic: 't', value: `${n}` })))
  const rows: number[] = []
  const flow = dataflow('reads')
  flow
    .source('in', logTopic<number>({ log: folder.path, topic: 't', follow: false }), { time: 'processing' })
    .sink('out', arraySink(rows))
  const state = folder.at('state')
  await flow.run({ state, until: { in: { '0': 2 } } })
  await log.admin.deleteRecords('t', 0, 4)
  await producer.send({ topic: 't', value: '4' })
  await expect(flow.run({ state })).rejects.toMatchObject({
    code: 'LOG_OFFSET_GONE',
    message: expect.stringMatching(/removed by retention.*first record that is left is 4.*were never read/),
  })
})
