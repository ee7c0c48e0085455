import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Log, openLog } from './index.ts'
import { openDatabase } from './sqlite.ts'

let folder: string
let log: Log
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-log-'))
  log = await openLog(folder)
  await log.admin.createTopic('t')
})
afterEach(async () => {
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

function inStore(sql: string): void {
  const db = openDatabase(join(folder, 'log.db'), 'write')
  db.exec(sql)
  db.close()
}

test('a producer that the log has forgotten opens itself anew and stores each record once', async () => {
  const producer = await log.producer()
  await producer.send({ topic: 't', value: '0' })
  inStore('DELETE FROM producer; DELETE FROM sequence')
  expect(await producer.send({ topic: 't', value: '1' })).toEqual([{ topic: 't', partition: 0, offset: 1 }])
  expect((await log.admin.describe('t')).partitions[0].next).toBe(2)
})

test('a refused record leaves the producer and the records beside it unharmed', async () => {
  const producer = await log.producer()
  const results = await Promise.allSettled([
    producer.send({ topic: 't', value: '0' }),
    producer.send({ topic: 'unknown', value: 'x' }),
    producer.send({ topic: 't', value: undefined as never }),
    producer.send({ topic: 't', partition: 3, value: 'x' }),
    producer.send({ topic: 't', value: '1' }),
  ])
  expect(results.map((r) => (r.status === 'fulfilled' ? r.value[0].offset : r.reason.code))).toEqual([
    0,
    'LOG_TOPIC_UNKNOWN',
    'LOG_RECORD',
    'LOG_PARTITION_UNKNOWN',
    1,
  ])
})

test('a topic that is deleted and made anew is written by the same producer', async () => {
  const producer = await log.producer()
  await producer.send({ topic: 't', value: 'old' })
  await log.admin.deleteTopic('t')
  await log.admin.createTopic('t', { partitions: 2 })
  await expect(producer.send({ topic: 't', value: 'x' })).rejects.toMatchObject({ code: 'LOG_TOPIC_UNKNOWN' })
  expect((await producer.send({ topic: 't', value: 'new', partition: 1 }))[0].offset).toBe(0)
})

test('a transaction needs a transactional id and a beginning; what is too large is refused and can be aborted', async () => {
  const plain = await log.producer()
  await expect(plain.begin()).rejects.toMatchObject({ code: 'LOG_TRANSACTION' })
  const producer = await log.producer({ transactionalId: 'x' })
  await expect(producer.send({ topic: 't', value: 'x' })).rejects.toMatchObject({ code: 'LOG_TRANSACTION' })
  await producer.begin()
  const large = Buffer.alloc(15 * 1024 * 1024)
  const sending = async () => {
    for (let i = 0; i < 5; i++) await producer.send({ topic: 't', value: large })
  }
  await expect(sending()).rejects.toMatchObject({ code: 'LOG_TRANSACTION_LARGE' })
  await producer.abort()
  await producer.begin()
  await producer.send({ topic: 't', value: 'small' })
  await producer.commit()
  expect((await log.admin.describe('t')).partitions[0].next).toBe(1)
})

test('a damaged batch stops the reader by name and can be passed by deleting what lies before the next one', async () => {
  const producer = await log.producer()
  for (let i = 0; i < 2; i++) await producer.send({ topic: 't', value: `${i}` })
  inStore("UPDATE batch SET bytes = x'01000000ff' WHERE base = 0")
  const consumer = await log.consumer({ topics: ['t'] })
  await expect(consumer.poll()).rejects.toMatchObject({ code: 'LOG_DAMAGED' })
  await log.admin.deleteRecords('t', 0, 1)
  expect((await consumer.poll()).map((record) => String(record.value))).toEqual(['1'])
  expect(consumer.skipped).toBe(1)
})

test('a log of another version, and a folder that cannot be made, are refused', async () => {
  const other = join(folder, 'other')
  await (await openLog(other)).close()
  const db = openDatabase(join(other, 'log.db'), 'write')
  db.exec('PRAGMA user_version=99')
  db.close()
  await expect(openLog(other)).rejects.toMatchObject({ code: 'LOG_VERSION' })
  await expect(openLog(join(folder, 'bell', 'sub'))).rejects.toMatchObject({ code: 'LOG_FOLDER' })
})
